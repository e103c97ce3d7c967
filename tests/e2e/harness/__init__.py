# SPDX-License-Identifier: MIT
"""What the end-to-end tests are made of: real processes, and the servers, recorders and clients around them."""
