"""Open the pages of the shop with its leak, and print what the monitor logs."""

import logging
import os
import sys

os.environ["LEAK"] = "1"
logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(name)s: %(message)s")

from examples.monitor.shop import create_app  # noqa: E402

client = create_app().test_client()
for page in ("/", "/admin/product/", "/report", "/report"):
    client.get(page).close()
