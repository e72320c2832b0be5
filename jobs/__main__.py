"""Entry for spark-submit and python -m lakeloom.jobs."""

from lakeloom.jobs.cli import main

main()
