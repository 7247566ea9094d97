#!/bin/bash
# A few kills in every check; tests/run/kills.py --kills 50 is the long form.
exec python3 tests/run/kills.py --kills 4 --seed 7
