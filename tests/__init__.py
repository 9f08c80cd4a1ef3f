"""Tests of both packages; a package, so that no other library's folder of this name is taken for it."""
