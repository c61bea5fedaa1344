import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Counts outcomes: the records of the topic completions, each once, in a SQLite database. */
public final class Outcomes {
    private static final Logger LOG = LoggerFactory.getLogger(Outcomes.class);
    private static final ObjectMapper JSON = 
            new ObjectMapper().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);
    private static final String TYPE = "rendercast.completion";
    private static final List<String> TABLES = List.of(
            "CREATE TABLE IF NOT EXISTS outcomes"
                    + " (id TEXT PRIMARY KEY, file_id TEXT NOT NULL, outcome TEXT NOT NULL, url TEXT)",
            "CREATE TABLE IF NOT EXISTS counts (outcome TEXT PRIMARY KEY, number INTEGER NOT NULL)",
            "CREATE TABLE IF NOT EXISTS set_aside (place TEXT PRIMARY KEY, reason TEXT NOT NULL, value BLOB)");

    private static volatile boolean stopping;

    /** The fields that are used here. Others, and those of newer releases, are ignored. */
    @JsonIgnoreProperties(ignoreUnknown = true)
    record Completion(String id, @JsonProperty("file_id") String fileId, String outcome, String url) {}

    public static void main(String[] args) throws SQLException {
        CountDownLatch ended = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(ended)));
        // Closing the consumer leaves the group: the others need not wait for a timeout.
        try (Connection database = DriverManager.getConnection("jdbc:sqlite:" + env("DATABASE", "outcomes.db"));
                KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings())) {
            for (String table : TABLES) {
                execute(database, table);
            }
            database.setAutoCommit(false);
            follow(consumer, database);
        } finally {
            ended.countDown();
        }
    }

    /** At SIGTERM the process is there until this returns: when the consumer has ended. */
    private static void stop(CountDownLatch ended) {
        stopping = true;
        try {
            if (!ended.await(10, TimeUnit.SECONDS)) {
                LOG.warn("not ended in time");
            }
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
    }

    private static Map<String, Object> settings() {
        return Map.of(
                "bootstrap.servers", env("BOOTSTRAP_SERVERS", "localhost:9092"),
                "group.id", env("GROUP", "outcomes-java"),
                "auto.offset.reset", env("START", "earliest"),
                "isolation.level", "read_committed",
                "enable.auto.commit", false,
                // Bytes: a deserializer that throws would throw at the same record for ever.
                "key.deserializer", ByteArrayDeserializer.class,
                "value.deserializer", ByteArrayDeserializer.class);
    }

    private static void follow(KafkaConsumer<byte[], byte[]> consumer, Connection database) throws SQLException {
        consumer.subscribe(List.of(env("TOPIC", "render.completions")));
        while (!stopping) { // partitions come and go within poll, when nothing is in work
            ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(500));
            if (records.isEmpty()) {
                continue;
            }
            store(database, records);
            try {
                consumer.commitSync(Duration.ofSeconds(5));
            } catch (CommitFailedException | RebalanceInProgressException | RetriableException error) {
                LOG.warn("not committed, the records come again: {}", error.toString());
            }
        }
    }

    /** One transaction of all effects. A record that has been counted changes nothing. */
    private static void store(Connection database, Iterable<ConsumerRecord<byte[], byte[]>> records)
            throws SQLException {
        for (ConsumerRecord<byte[], byte[]> record : records) {
            if (record.value() == null || !TYPE.equals(header(record, "ce_type"))) {
                continue; // a tombstone, or what a newer release has to say
            }
            try {
                count(database, parse(record.value()));
            } catch (IOException error) {
                setAside(database, record, error);
            }
        }
        database.commit();
    }

    private static Completion parse(byte[] value) throws IOException {
        Completion found = JSON.readValue(value, Completion.class);
        if (found == null || isEmpty(found.id()) || isEmpty(found.fileId()) || isEmpty(found.outcome())) {
            throw new IOException("id, file_id and outcome are needed");
        }
        return found;
    }

    private static void count(Connection database, Completion found) throws SQLException {
        int added = execute(database, "INSERT INTO outcomes VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
                found.id(), found.fileId(), found.outcome(), found.url());
        if (added == 1) {
            execute(database, "INSERT INTO counts VALUES (?, 1)"
                    + " ON CONFLICT (outcome) DO UPDATE SET number = number + 1", found.outcome());
        }
    }

    private static void setAside(Connection database, ConsumerRecord<byte[], byte[]> record, IOException reason)
            throws SQLException {
        String place = record.topic() + "/" + record.partition() + "/" + record.offset();
        LOG.warn("set aside {}: {}", place, reason.getMessage());
        execute(database, "INSERT INTO set_aside VALUES (?, ?, ?) ON CONFLICT (place) DO NOTHING",
                place, String.valueOf(reason.getMessage()), record.value());
    }

    private static int execute(Connection database, String sql, Object... values) throws SQLException {
        try (var statement = database.prepareStatement(sql)) {
            for (int number = 0; number < values.length; number++) {
                statement.setObject(number + 1, values[number]);
            }
            return statement.executeUpdate();
        }
    }

    private static String header(ConsumerRecord<?, ?> record, String name) {
        var found = record.headers().lastHeader(name);
        return found == null || found.value() == null ? "" : new String(found.value(), StandardCharsets.UTF_8);
    }

    private static String env(String name, String otherwise) {
        String value = System.getenv(name);
        return isEmpty(value) ? otherwise : value;
    }

    private static boolean isEmpty(String value) {
        return value == null || value.isEmpty();
    }
}
