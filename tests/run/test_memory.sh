#!/bin/bash
# Two small networks in every check; tests/run/memory.py alone has eight, three of them above 2 GB.
exec python3 tests/run/memory.py --short
