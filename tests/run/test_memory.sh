#!/bin/bash
# Four small networks in every check; tests/run/memory.py alone has eleven, three of them above 2 GB.
exec python3 tests/run/memory.py --short
