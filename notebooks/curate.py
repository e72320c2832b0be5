# Databricks notebook source
# MAGIC %md
# MAGIC # Try a recipe
# MAGIC Runs a recipe over a pool's pages and shows what each step dropped. Dropped pages stay in `silver.documents`.

# COMMAND ----------

dbutils.widgets.text("pool", "sample")
dbutils.widgets.text("recipe", "refinedweb")
dbutils.widgets.text("root", "/Volumes/lakeloom/ops/files")
words = [f"{name}={dbutils.widgets.get(name)}" for name in ("pool", "recipe")]
words += [f"lakehouse.root={dbutils.widgets.get('root')}"]

# COMMAND ----------

from lakeloom.jobs import cli

cli.run("curate", spark, cli.load("curate", *words))

# COMMAND ----------

(funnel,) = cli.run("funnel", spark, cli.load("funnel", *words)).sheets
display(spark.createDataFrame(list(funnel.rows), list(funnel.columns)))
