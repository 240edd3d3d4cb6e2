// How an executor process locks itself in before it sees the first untrusted byte.
#pragma once

#include <string>
#include <vector>

#include <framegrid/base/result.hpp>
#include <framegrid/sandbox/message.hpp>

namespace framegrid::sandbox {

// True in builds with an address or thread sanitizer, which need address space without limit.
constexpr bool is_sanitized() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return true;
#else
    return false;
#endif
#else
    return false;
#endif
}

// Applies every protection to this process, for good: dies with its parent, no privileges, no core dumps,
// resource limits, no descriptor but 0 to 2 and `keep_fd`, no file but `setup.readable` and the system's
// libraries, no socket, no other process. Call before a second thread exists. Returns what this system could
// not do.
std::vector<std::string> harden(const SetupMessage& setup, int keep_fd);

// The parts that restrict system calls and files; each returns why it could not.
Result<void> restrict_system_calls(bool gpu);
Result<void> restrict_files(const std::vector<std::string>& readable, bool gpu);

}  // namespace framegrid::sandbox
