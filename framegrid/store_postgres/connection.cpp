#include <framegrid/store_postgres/connection.hpp>

#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

#include <framegrid/host/steady_now.hpp>

namespace framegrid::store_postgres {

namespace {

constexpr std::int64_t kConnectMsMax = 5'000;
constexpr std::int64_t kAnswerMsMax = 15'000;  // more than the server itself allows a statement
constexpr int kTextFormat = 0;
constexpr int kBinaryFormat = 1;
constexpr Oid kTextType = 25;
constexpr Oid kNumberType = 20;  // bigint

std::int64_t now_ms() {
    return milliseconds(host::steady_now().time_since_epoch());
}

std::string one_line(std::string text) {
    std::ranges::replace(text, '\n', ' ');
    const auto last = text.find_last_not_of(" \r");
    text.resize(last == std::string::npos ? 0 : last + 1);
    return text;
}

std::int64_t whole_number(std::string_view text) {
    std::int64_t out = 0;
    (void)std::from_chars(text.data(), text.data() + text.size(), out);
    return out;
}

// The values of a statement as libpq wants them.
class Parameters {
  public:
    Parameters(std::initializer_list<Value> values) {
        numbers_.reserve(values.size());
        for (const auto& value : values) {
            if (const auto* text = std::get_if<std::string_view>(&value)) {
                // A null pointer would be NULL.
                add(text->data() == nullptr ? std::string_view("") : *text, kBinaryFormat, kTextType);
            } else {
                numbers_.push_back(std::to_string(std::get<std::int64_t>(value)));
                add(numbers_.back(), kTextFormat, kNumberType);
            }
        }
    }
    int size() const { return static_cast<int>(values_.size()); }
    const Oid* types() const { return types_.data(); }
    const char* const* values() const { return values_.data(); }
    const int* lengths() const { return lengths_.data(); }
    const int* formats() const { return formats_.data(); }

  private:
    void add(std::string_view value, int format, Oid type) {
        values_.push_back(value.data());
        lengths_.push_back(static_cast<int>(value.size()));
        formats_.push_back(format);
        types_.push_back(type);
    }
    std::vector<std::string> numbers_;
    std::vector<const char*> values_;
    std::vector<int> lengths_;
    std::vector<int> formats_;
    std::vector<Oid> types_;
};

}  // namespace

std::int64_t Rows::number(int row, int column) const {
    return whole_number(PQgetvalue(result_.get(), row, column));
}

std::size_t Rows::changed() const {
    return static_cast<std::size_t>(whole_number(PQcmdTuples(result_.get())));
}

std::unexpected<Error> Connection::lost(const std::string& what) {
    broken_ = true;
    const std::string why = one_line(PQerrorMessage(handle_.get()));
    return fail(Errc::kIo, "the job store's database " + what + (why.empty() ? "" : ": " + why));
}

std::unexpected<Error> Connection::refused(const PGresult* result) {
    const char* const field = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const std::string_view state = field == nullptr ? "" : field;
    conflicted_ = state == "40P01" || state == "40001";  // a deadlock, a serialization failure
    // 57P: the server shuts down, and says so before it hangs up; 08: the connection.
    if (PQstatus(handle_.get()) == CONNECTION_BAD || state.starts_with("57P") || state.starts_with("08")) {
        return lost("cannot be reached");
    }
    const std::string why = one_line(PQresultErrorMessage(result));
    if (state == "22021" || state == "22P05") {
        return fail(
            Errc::kInvalidArgument, "text that is not UTF-8, or that has a zero byte, cannot be kept"
        );
    }
    if (state.starts_with("53")) {
        return fail(Errc::kIo, "the job store's database has no disk, memory or connection left: " + why);
    }
    if (state == "55P03" || state == "57014") {
        return fail(Errc::kIo, "the job store's database took too long: " + why);
    }
    if (state == "42501") {
        return fail(
            Errc::kIo, "the job store's database refuses: " + why +
                           "; let its user make a schema (GRANT CREATE ON DATABASE)"
        );
    }
    return fail(Errc::kIo, "the job store's database: " + why);
}

bool Connection::wait(short events, std::int64_t until_ms) const {
    for (;;) {
        pollfd one{PQsocket(handle_.get()), events, 0};
        const auto left = std::clamp<std::int64_t>(until_ms - now_ms(), 0, kAnswerMsMax);
        const int ready = ::poll(&one, 1, static_cast<int>(left));
        if (ready >= 0 || errno != EINTR) {
            return ready > 0;
        }
    }
}

Result<void> Connection::connect() {
    const auto until = now_ms() + kConnectMsMax;
    if (!handle_ || PQstatus(handle_.get()) == CONNECTION_BAD) {
        return lost("cannot be reached");
    }
    for (auto state = PGRES_POLLING_WRITING; state != PGRES_POLLING_OK;) {
        if (state == PGRES_POLLING_FAILED) {
            return lost("cannot be reached");
        }
        const short events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT;
        if (!wait(events, until)) {
            return lost("did not answer in time");
        }
        state = PQconnectPoll(handle_.get());
    }
    (void)PQsetnonblocking(handle_.get(), 1);
    return {};
}

Result<std::unique_ptr<Connection>> Connection::open(const std::string& url) {
    // What libpq says of a URL that it cannot read quotes it, with the password.
    struct Free {
        void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
    };
    if (!std::unique_ptr<PQconninfoOption, Free>(PQconninfoParse(url.c_str(), nullptr))) {
        return fail(
            Errc::kInvalidArgument,
            "the URL of the job store's database cannot be read: postgres://USER@HOST/DATABASE, other "
            "characters than letters and digits as %XX",
            "store"
        );
    }
    constexpr std::array<const char*, 4> kNames{
        "dbname", "client_encoding", "fallback_application_name", nullptr
    };
    const std::array<const char*, 4> values{url.c_str(), "UTF8", "framegrid", nullptr};
    std::unique_ptr<Connection> out(new Connection(PQconnectStartParams(kNames.data(), values.data(), 1)));
    FG_CHECK(out->connect());
    // Notices are for terminals.
    (void)PQsetNoticeProcessor(out->handle_.get(), [](void*, const char*) {}, nullptr);
    // A change is on the disk when it is answered, whatever the server's default is; and a gateway that hangs
    // in a transaction does not hold up the others.
    FG_CHECK(
        out->script("SET search_path = framegrid; SET statement_timeout = 12000; SET lock_timeout = 5000;"
                    " SET idle_in_transaction_session_timeout = 15000;"
                    " SELECT set_config('synchronous_commit', 'on', false)"
                    " WHERE current_setting('synchronous_commit') = 'off'")
    );
    return out;
}

bool Connection::flush() {
    const auto until = now_ms() + kAnswerMsMax;
    for (;;) {
        const int left = PQflush(handle_.get());
        if (left <= 0) {
            return left == 0;
        }
        // The server may have to be read before it reads on.
        if (!wait(POLLIN | POLLOUT, until) || PQconsumeInput(handle_.get()) == 0) {
            return false;
        }
    }
}

// The last result of what was sent; the first error, if there is one.
Result<Rows> Connection::answer() {
    if (!flush()) {
        return lost("cannot be reached");
    }
    const auto until = now_ms() + kAnswerMsMax;
    std::optional<Rows> rows;
    std::optional<Error> error;
    for (;;) {
        while (PQisBusy(handle_.get()) != 0) {
            if (!wait(POLLIN, until)) {
                return lost("did not answer in time");
            }
            if (PQconsumeInput(handle_.get()) == 0) {
                return lost("cannot be reached");
            }
        }
        PGresult* const result = PQgetResult(handle_.get());
        if (result == nullptr) {
            break;
        }
        Rows one(result);
        const auto status = PQresultStatus(result);
        if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
            rows.emplace(std::move(one));
        } else if (auto refusal = refused(result); !error) {
            error = std::move(refusal.error());
        }
    }
    if (error) {
        return fail(std::move(*error));
    }
    if (!rows) {
        return lost("answered nothing");
    }
    return std::move(*rows);
}

Result<Rows> Connection::query(const char* sql, std::initializer_list<Value> values) {
    conflicted_ = false;
    const Parameters parameters(values);
    auto& name = prepared_[sql];
    if (name.empty()) {
        const std::string fresh = "s" + std::to_string(prepared_.size());
        if (PQsendPrepare(handle_.get(), fresh.c_str(), sql, parameters.size(), parameters.types()) == 0) {
            return lost("cannot be reached");
        }
        FG_CHECK(answer());
        name = fresh;
    }
    const int sent = PQsendQueryPrepared(
        handle_.get(), name.c_str(), parameters.size(), parameters.values(), parameters.lengths(),
        parameters.formats(), kTextFormat
    );
    if (sent == 0) {
        return lost("cannot be reached");
    }
    return answer();
}

Result<Rows> Connection::script(const std::string& sql) {
    conflicted_ = false;
    if (PQsendQuery(handle_.get(), sql.c_str()) == 0) {
        return lost("cannot be reached");
    }
    return answer();
}

std::optional<std::string> Connection::notification() {
    if (PQconsumeInput(handle_.get()) == 0) {
        broken_ = true;
        return std::nullopt;
    }
    struct Free {
        void operator()(PGnotify* told) const { PQfreemem(told); }
    };
    const std::unique_ptr<PGnotify, Free> told(PQnotifies(handle_.get()));
    return told ? std::optional<std::string>(told->extra) : std::nullopt;
}

}  // namespace framegrid::store_postgres
