"""``python -m aiogram_neonpay``: see :mod:`aiogram_neonpay.cli`."""

import sys

from aiogram_neonpay.cli import main

if __name__ == "__main__":
    sys.exit(main())
