"""The Parquet files that workers log predictions and labels to."""
