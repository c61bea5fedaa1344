package peers;

import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/** Kafka Streams, exactly once: Processor API, RocksDB store with its changelog, one thread. */
public class Worker {
    static final ObjectMapper JSON = new ObjectMapper().configure(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES, false);

    static String told(String name) {
        return System.getenv("BENCH_" + name);
    }

    static <T> Serde<T> serde(Class<T> type) {
        return Serdes.serdeFrom(
            (topic, value) -> {
                try {
                    return value == null ? null : JSON.writeValueAsBytes(value);
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            },
            (topic, bytes) -> {
                try {
                    return bytes == null ? null : JSON.readValue(bytes, type);
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            });
    }

    static class Advance implements Processor<String, Event, String, Completion> {
        private ProcessorContext<String, Completion> context;
        private KeyValueStore<String, Job> jobs;
        private boolean told;

        @Override
        public void init(ProcessorContext<String, Completion> context) {
            this.context = context;
            jobs = context.getStateStore("jobs");
        }

        @Override
        public void process(Record<String, Event> record) {
            if (!told) {
                told = true;
                System.out.println("first event");
            }
            Job before = jobs.get(record.key());
            Job after = Rule.advance(before, record.value());
            if (after == null) {
                return;
            }
            jobs.put(record.key(), after);
            if (after.outcome != null && (before == null || before.outcome == null)) {
                context.forward(record.withValue(Rule.completion(after)));
            }
        }
    }

    public static void main(String[] args) throws Exception {
        boolean lowLatency = told("LOW_LATENCY").equals("1");
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, told("GROUP"));
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, told("SERVERS"));
        settings.put(StreamsConfig.STATE_DIR_CONFIG, told("DIRECTORY") + "/state");
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, lowLatency ? 20L : 1000L);
        settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        if (lowLatency) {
            settings.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 0);
        }
        Topology topology = new Topology();
        topology.addSource("in", Serdes.String().deserializer(), serde(Event.class).deserializer(), told("INPUT"));
        topology.addProcessor("advance", Advance::new, "in");
        topology.addStateStore(
            Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore("jobs"), Serdes.String(), serde(Job.class)),
            "advance");
        topology.addSink("out", told("OUTPUT"), Serdes.String().serializer(), serde(Completion.class).serializer(), "advance");

        KafkaStreams streams = new KafkaStreams(topology, settings);
        CountDownLatch stopped = new CountDownLatch(1);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            Runtime.getRuntime().halt(70);
            return null;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close(java.time.Duration.ofSeconds(8));
            stopped.countDown();
        }));
        streams.start();
        stopped.await();
    }
}
