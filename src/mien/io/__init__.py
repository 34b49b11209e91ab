"""Bytes in and out: pictures, videos, tables, files written whole. Knows no model."""
