// What all connections of one Client share, and the pool that finds one for a request.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <framegrid/http/client.hpp>
#include <framegrid/http/tasks.hpp>
#include <framegrid/http/tls.hpp>
#include <framegrid/http/transport.hpp>
#include <framegrid/runtime/task_group.hpp>

namespace framegrid::http {

struct Attempt {
    Result<Response> response;
    bool unprocessed = false;  // the peer has not acted on it: it may be sent again
};

class ClientConnection {
  public:
    virtual ~ClientConnection() = default;
    // Whether one more request can start now.
    virtual bool has_room() = 0;
    virtual bool is_busy() const = 0;
    virtual bool is_http2() const = 0;
    // Starts in the same turn in which has_room() said yes. `request` outlives the call.
    virtual Task<Attempt> exchange(const Request& request) = 0;
    virtual void tick(TimePoint now) = 0;
    virtual void abort(const Error& why) = 0;
};

// One caller in an origin's line, on its own coroutine's frame.
struct Waiter {
    OneShot shot;
    bool called = false;
};

struct Origin {
    enum class Protocol : std::uint8_t { kUnknown, kHttp1, kHttp2 };
    Protocol protocol = Protocol::kUnknown;
    std::vector<std::shared_ptr<ClientConnection>> connections;
    std::size_t connecting = 0;
    std::uint64_t failures = 0;  // of connecting, so far
    Error failure;               // the newest
    std::list<Waiter*> line;     // callers waiting for room, first come first served
    TimePoint used_at{};

    bool is_idle() const;
    void wake_one();
    void wake_all();
};

// Shared by the Client, its connections and tasks that are still unwinding when it is gone.
struct ClientCore : std::enable_shared_from_this<ClientCore> {
    ClientCore(Executor executor_in, Clock& clock_in, ClientSettings settings_in, Logger log_in);

    // A connection with room for one more request.
    Task<Result<std::shared_ptr<ClientConnection>>> acquire(Url url);
    // After a connection turned out to be dead: the other idle ones of that origin are probably dead too.
    void drop_idle(const Url& url);
    void remove(ClientConnection* connection, Origin& origin);
    void close_all(const Error& why);

    Executor executor;
    Clock& clock;
    const ClientSettings settings;
    Logger log;
    std::optional<Result<TlsContext>> tls;  // made when first needed
    std::unordered_map<std::string, std::shared_ptr<Origin>> origins;
    TaskSet pumps;     // of request bodies
    TaskGroup setups;  // connecting, and the time limits
    Bytes scratch;
    bool ticking = false;
    bool stopping = false;

  private:
    Result<std::shared_ptr<Origin>> find_origin(const Url& url);
    bool make_place();
    void connect_if_useful(const Url& url, const std::shared_ptr<Origin>& origin);
    static Task<void> connect(std::shared_ptr<ClientCore> core, Url url, std::shared_ptr<Origin> origin);
    static Task<void> tick_loop(std::shared_ptr<ClientCore> core);
    void tick();
};

// Make a connection, put it into the origin's list, and start it.
void start_h2_client(
    std::shared_ptr<ClientCore> core, std::shared_ptr<Origin> origin, std::unique_ptr<Transport> transport
);
void start_h1_client(
    std::shared_ptr<ClientCore> core, std::shared_ptr<Origin> origin, std::unique_ptr<Transport> transport
);

// Gives a request the content-length that it is sent with, where that is known.
void set_content_length(Request& request);
// RFC 9110 section 9.2.2: sending it twice does no harm.
bool is_idempotent(std::string_view method);

}  // namespace framegrid::http
