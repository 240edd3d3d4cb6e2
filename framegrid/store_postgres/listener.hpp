// Hears which jobs other gateways have changed (LISTEN), on a thread of its own.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <framegrid/host/files.hpp>
#include <framegrid/runtime/clock.hpp>
#include <framegrid/runtime/task.hpp>
#include <framegrid/store_postgres/connection.hpp>

namespace framegrid::store_postgres {

// What gateways tell each other: who tells, and ids of jobs, separated by blanks.
inline constexpr const char* kListen = "LISTEN framegrid_jobs";
inline constexpr const char* kTell = "SELECT pg_notify('framegrid_jobs', $1)";
// A notification has less than 8,000 bytes.
inline constexpr std::size_t kToldBytesMax = 7'000;

class Listener {
  public:
    // What `self` tells is not for itself. `connection` listens already.
    Listener(std::unique_ptr<Connection> connection, std::string url, std::string self);
    ~Listener();
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

    // Ids of jobs, each once; an empty one: something may have been missed. Waits until there are some, or
    // the deadline. One caller at a time.
    Task<std::vector<std::string>> next(Clock& clock, Deadline deadline);

  private:
    struct Heard;
    void serve();
    void hear(Connection& connection);
    bool pause(int milliseconds);

    std::unique_ptr<Connection> connection_;
    std::string url_;
    std::string self_;
    std::shared_ptr<Heard> heard_;  // with what it has posted
    host::UniqueFd stop_;
    std::thread thread_;  // last: it uses the others
};

}  // namespace framegrid::store_postgres
