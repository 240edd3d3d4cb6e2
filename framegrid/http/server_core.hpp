// What all connections of one Server share, and what it asks of them.
#pragma once

#include <memory>
#include <unordered_map>
#include <unordered_set>

#include <framegrid/http/server.hpp>
#include <framegrid/http/tasks.hpp>
#include <framegrid/http/tls.hpp>
#include <framegrid/http/transport.hpp>
#include <framegrid/runtime/task_group.hpp>

namespace framegrid::http {

class ServerConnection {
  public:
    virtual ~ServerConnection() = default;
    virtual void tick(TimePoint now) = 0;
    // No new requests; closes when the running ones are answered.
    virtual void drain() = 0;
    virtual void abort(const Error& why) = 0;
};

// One request with the handler that serves it: both ends of an Exchange.
class ServedStream : public BodyReader, public ResponseWriter {
  public:
    virtual void on_handler_ended(bool stopping) = 0;
    TaskHandle task;
    RequestHead request;
};

// Shared, because connections and handlers end after the Server that made them has been told to stop.
struct ServerCore : std::enable_shared_from_this<ServerCore> {
    ServerCore(
        Executor executor_in, Clock& clock_in, ServerSettings settings_in, Handler handler_in, Logger log_in
    );

    // Runs the handler; `stream` lives until it has ended.
    void serve(std::shared_ptr<ServedStream> stream);
    void add(std::shared_ptr<ServerConnection> connection);
    void remove(ServerConnection* connection);
    void cancel_handlers();

    Executor executor;
    Clock& clock;
    const ServerSettings settings;
    const Handler handler;
    Logger log;
    ServerStats stats;
    TaskSet handlers;
    TaskGroup setups;  // connections that are still shaking hands, the accept loop and the time limits
    std::unordered_map<ServerConnection*, std::shared_ptr<ServerConnection>> connections;
    std::unordered_set<ServedStream*> serving;
    Notifier changed;
    Bytes scratch;
    std::optional<TlsContext> tls;  // of connections that are still to come; nothing: clear text
    bool stopping = false;
};

// They register themselves in the core and live there until they are closed. `initial` has been read already.
void start_h2_connection(
    std::shared_ptr<ServerCore> core, std::unique_ptr<Transport> transport, std::string peer, bool tls,
    BytesView initial
);
void start_h1_connection(
    std::shared_ptr<ServerCore> core, std::unique_ptr<Transport> transport, std::string peer, bool tls,
    BytesView initial
);

}  // namespace framegrid::http
