"""Any number of pictures and videos to Parquet files: planned in partitions, which may be lost and done again."""
