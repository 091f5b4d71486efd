"""A session of Spark on this machine, for tests and benchmarks."""

import os
import sys

from pyspark.sql import SparkSession

import memkv.spark


def session(master: str, settings: dict[str, str]) -> SparkSession:
    """Returns a session on the loopback that knows the format memkv, quiet and without a page."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    common = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.adaptive.enabled": "false",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "50000",
    }
    spark = SparkSession.builder.master(master).config(map=common | settings).getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    memkv.spark.register(spark)
    return spark
