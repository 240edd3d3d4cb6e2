#include <framegrid/http/client_core.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/basic_resolver.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace framegrid::http {

namespace asio = boost::asio;

namespace {

using Resolver = asio::ip::basic_resolver<asio::ip::tcp, Executor>;
using Endpoints = std::vector<asio::ip::tcp::endpoint>;

constexpr std::size_t kScratchBytes = 64 * 1024;
constexpr std::size_t kSetupsMax = 4096;  // connecting at the same time
constexpr Duration kTickMin = std::chrono::milliseconds(5);
constexpr Duration kTickMax = std::chrono::seconds(1);

struct Connected {
    std::unique_ptr<Transport> transport;
    bool http2 = false;
};

std::unexpected<Error> unreachable(const Url& url, const std::string& why) {
    return fail(Errc::kUnavailable, "cannot connect to " + url.origin() + ": " + why);
}

Task<Result<Endpoints>> resolve(Executor executor, Url url) {
    ErrorCode not_an_address;
    const auto address = asio::ip::make_address(url.host, not_an_address);
    Endpoints endpoints;
    if (!not_an_address) {
        endpoints.emplace_back(address, url.port);
        co_return endpoints;
    }
    Resolver resolver(executor);
    const std::string service = std::to_string(url.port);
    auto [code, found] =
        co_await resolver.async_resolve(url.host, service, asio::as_tuple(asio::use_awaitable));
    if (code) {
        co_return unreachable(url, code.message());
    }
    for (const auto& entry : found) {
        endpoints.push_back(entry.endpoint());
    }
    co_return endpoints;
}

Task<Result<Connected>> connect_once(std::shared_ptr<ClientCore> core, Url url) {
    FG_CO_TRY(endpoints, co_await resolve(core->executor, url));
    for (const auto& one : endpoints) {
        if (core->settings.may_connect && !core->settings.may_connect(one.address().to_string())) {
            co_return fail(
                Errc::kForbidden, url.host + " is not in the public internet; this call may not go there"
            );
        }
    }
    Socket socket(core->executor);
    auto [code, endpoint] =
        co_await asio::async_connect(socket, endpoints, asio::as_tuple(asio::use_awaitable));
    if (code) {
        co_return unreachable(url, code.message());
    }
    prepare(socket);
    Connected out;
    if (url.scheme == "http") {
        out.transport = make_plain_transport(std::move(socket));
        out.http2 = core->settings.cleartext_http2;
        co_return out;
    }
    if (!core->tls) {
        core->tls = TlsContext::make_client(core->settings.verify_certificates, core->settings.offer_http2);
    }
    if (!*core->tls) {
        co_return std::unexpected(core->tls->error());
    }
    FG_CO_TRY(secured, co_await connect_tls(**core->tls, std::move(socket), url.host));
    out.transport = std::move(secured.transport);
    out.http2 = secured.http2;
    co_return out;
}

Duration tick_period(const ClientSettings& settings) {
    Duration shortest = settings.idle_time_max;
    if (settings.ping_period.count() > 0) {
        shortest = std::min<Duration>(shortest, settings.ping_period);
    }
    return std::clamp(shortest / 4, kTickMin, kTickMax);
}

// Keeps a Waiter in the line. One that leaves after it was called, but unwound, passes the call on.
class Place {
  public:
    explicit Place(std::shared_ptr<Origin> origin) : origin_(std::move(origin)) {
        origin_->line.push_back(&waiter_);
    }
    ~Place() {
        if (!waiter_.called) {
            origin_->line.remove(&waiter_);
        } else if (!taken_) {
            origin_->wake_one();
        }
    }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    const OneShot& shot() const { return waiter_.shot; }
    void take() { taken_ = true; }

  private:
    std::shared_ptr<Origin> origin_;
    Waiter waiter_;
    bool taken_ = false;
};

Task<void> wait_in_line(std::shared_ptr<Origin> origin) {
    Place place(std::move(origin));
    co_await place.shot().wait();
    place.take();
}

}  // namespace

bool Origin::is_idle() const {
    return connecting == 0 && line.empty() &&
           std::ranges::none_of(connections, [](const auto& connection) { return connection->is_busy(); });
}

void Origin::wake_one() {
    if (!line.empty()) {
        Waiter* first = line.front();
        line.pop_front();
        first->called = true;
        first->shot.fire();
    }
}

void Origin::wake_all() {
    while (!line.empty()) {
        wake_one();
    }
}

ClientCore::ClientCore(Executor executor_in, Clock& clock_in, ClientSettings settings_in, Logger log_in)
    : executor(std::move(executor_in)),
      clock(clock_in),
      settings(std::move(settings_in)),
      log(std::move(log_in)),
      pumps(executor),
      setups(executor, kSetupsMax, log),
      scratch(kScratchBytes) {}

Result<std::shared_ptr<Origin>> ClientCore::find_origin(const Url& url) {
    const std::string key = url.origin();
    if (const auto it = origins.find(key); it != origins.end()) {
        it->second->used_at = clock.now();
        return it->second;
    }
    if (origins.size() >= settings.origins_max && !make_place()) {
        return fail(Errc::kCapacity, "too many origins are in use");
    }
    auto origin = std::make_shared<Origin>();
    origin->used_at = clock.now();
    origins.emplace(key, origin);
    return origin;
}

// Forgets the origin that has been idle for the longest time.
bool ClientCore::make_place() {
    auto oldest = origins.end();
    for (auto it = origins.begin(); it != origins.end(); ++it) {
        if (it->second->is_idle() &&
            (oldest == origins.end() || it->second->used_at < oldest->second->used_at)) {
            oldest = it;
        }
    }
    if (oldest == origins.end()) {
        return false;
    }
    const auto origin = oldest->second;
    origins.erase(oldest);
    for (const auto& connection : std::exchange(origin->connections, {})) {
        connection->abort(make_error(Errc::kUnavailable, "the connection made place for another"));
    }
    return true;
}

Task<Result<std::shared_ptr<ClientConnection>>> ClientCore::acquire(Url url) {
    const auto self = shared_from_this();
    FG_CO_TRY(origin, self->find_origin(url));
    const std::uint64_t failures = origin->failures;
    for (;;) {
        if (self->stopping) {
            co_return fail(Errc::kCancelled, "the client is stopping");
        }
        const auto connections = origin->connections;  // has_room() may find one dead and remove it
        for (const auto& connection : connections) {
            if (connection->has_room()) {
                co_return connection;
            }
        }
        if (origin->failures != failures) {
            co_return std::unexpected(origin->failure);
        }
        self->connect_if_useful(url, origin);
        co_await wait_in_line(origin);
    }
}

void ClientCore::connect_if_useful(const Url& url, const std::shared_ptr<Origin>& origin) {
    const bool one_serves_all = origin->protocol != Origin::Protocol::kHttp1;
    const std::size_t wanted = one_serves_all ? 1 : origin->line.size() + 1;
    if (origin->connecting >= wanted ||
        origin->connections.size() + origin->connecting >= settings.connections_per_origin_max) {
        return;
    }
    ++origin->connecting;
    if (!setups.spawn(connect(shared_from_this(), url, origin))) {
        --origin->connecting;
        ++origin->failures;
        origin->failure = make_error(Errc::kCapacity, "too many connections are being made");
        asio::post(executor, [origin] { origin->wake_all(); });
    }
}

Task<void> ClientCore::connect(std::shared_ptr<ClientCore> core, Url url, std::shared_ptr<Origin> origin) {
    const Deadline deadline = Deadline::after(core->clock, core->settings.connect_time_max);
    Task<Result<Connected>> connecting = connect_once(core, url);
    auto connected = co_await with_deadline<Connected>(core->clock, deadline, std::move(connecting));
    --origin->connecting;
    if (core->stopping) {
        co_return;
    }
    if (!connected) {
        ++origin->failures;
        origin->failure = connected.error().code == Errc::kDeadline
                              ? unreachable(url, "no answer in time").error()
                              : std::move(connected).error();
        core->log.debug(
            "http.connect_failed", {{"origin", url.origin()}, {"error", origin->failure.message}}
        );
        origin->wake_all();
        co_return;
    }
    auto start = connected->http2 ? start_h2_client : start_h1_client;
    origin->protocol = connected->http2 ? Origin::Protocol::kHttp2 : Origin::Protocol::kHttp1;
    start(core, origin, std::move(connected->transport));
    origin->wake_all();
    if (!std::exchange(core->ticking, true)) {
        core->setups.spawn(tick_loop(core));
    }
}

void ClientCore::remove(ClientConnection* connection, Origin& origin) {
    std::erase_if(origin.connections, [connection](const auto& entry) { return entry.get() == connection; });
    origin.wake_one();
}

void ClientCore::drop_idle(const Url& url) {
    const auto it = origins.find(url.origin());
    if (it == origins.end()) {
        return;
    }
    const auto origin = it->second;
    const auto connections = origin->connections;
    for (const auto& connection : connections) {
        if (!connection->is_busy()) {
            connection->abort(make_error(Errc::kUnavailable, "the connection is probably dead"));
        }
    }
}

void ClientCore::close_all(const Error& why) {
    stopping = true;
    setups.cancel();
    for (const auto& [key, origin] : std::exchange(origins, {})) {
        const auto connections = origin->connections;
        for (const auto& connection : connections) {
            connection->abort(why);
        }
        origin->wake_all();
    }
}

void ClientCore::tick() {
    const TimePoint now = clock.now();
    std::vector<std::shared_ptr<ClientConnection>> all;
    for (auto it = origins.begin(); it != origins.end();) {
        const auto& origin = *it->second;
        all.insert(all.end(), origin.connections.begin(), origin.connections.end());
        const bool unused =
            origin.connections.empty() && origin.is_idle() && now - origin.used_at > settings.idle_time_max;
        it = unused ? origins.erase(it) : std::next(it);
    }
    for (const auto& connection : all) {
        connection->tick(now);
    }
}

Task<void> ClientCore::tick_loop(std::shared_ptr<ClientCore> core) {
    const Duration period = tick_period(core->settings);
    while (!core->origins.empty()) {
        co_await sleep_for(core->clock, period);
        core->tick();
    }
    core->ticking = false;
}

void set_content_length(Request& request) {
    if (request.body_source != nullptr) {
        return;
    }
    const bool usually_has_body =
        request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
    if (!request.body.empty() || usually_has_body) {
        request.headers.set("content-length", std::to_string(request.body.size()));
    } else {
        request.headers.erase("content-length");
    }
}

bool is_idempotent(std::string_view method) {
    return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE" ||
           method == "OPTIONS";
}

}  // namespace framegrid::http
