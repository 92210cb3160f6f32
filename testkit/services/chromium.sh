#!/bin/sh
# Chromium for tests: it ends when its driver does, however that ends.
exec setpriv --pdeathsig KILL chromium "$@"
