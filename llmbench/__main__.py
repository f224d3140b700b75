"""`python -m llmbench`."""

from llmbench.cli import main

raise SystemExit(main())
