import org.apache.spark.sql.SaveMode;
import org.apache.spark.sql.SparkSession;

/** A program with Spark, for its tables in S3. */
public class Client {
    private static SparkSession spark;

    public static void main(String[] args) throws Exception {
        Program.work(Client::work);
        System.exit(0);
    }

    private static void work() {
        if (spark == null) {
            spark = SparkSession.builder().master("local[1]").config("spark.ui.enabled", false)
                    .config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
                    .config("spark.hadoop.fs.s3a.endpoint", "http://127.0.0.1:5000")
                    .config("spark.hadoop.fs.s3a.path.style.access", true).getOrCreate();
        }
        spark.range(1000).coalesce(1).write().mode(SaveMode.Overwrite).parquet("s3a://bucket/table");
        long rows = spark.read().parquet("s3a://bucket/table").count();
        if (rows != 1000) {
            throw new IllegalStateException("the table has " + rows + " rows");
        }
    }
}
