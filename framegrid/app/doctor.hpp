// What `framegrid doctor` looks at, and what it found.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <framegrid/app/session.hpp>
#include <framegrid/base/result.hpp>

namespace framegrid::app {

struct Finding {
    std::string check;   // a stable name, such as "tls-expired"
    bool fault = false;  // the node does not work, or not for long; else advice
    std::string what;
    std::string fix;
};

class Findings {
  public:
    void fault(std::string check, std::string what, std::string fix) {
        all_.push_back({std::move(check), true, std::move(what), std::move(fix)});
    }
    void advise(std::string check, std::string what, std::string fix) {
        all_.push_back({std::move(check), false, std::move(what), std::move(fix)});
    }
    const std::vector<Finding>& all() const { return all_; }

  private:
    std::vector<Finding> all_;
};

// A role's options as it would run with: command line, file, environment, defaults. Refers to the parser.
class RoleOptions {
  public:
    explicit RoleOptions(const CLI::App& command) : command_(command) {}
    std::string role() const { return command_.get_name(); }
    bool has(const std::string& name) const;
    // Empty: the role has no such option, or it says nothing.
    std::string text(const std::string& name) const;
    std::vector<std::string> list(const std::string& name) const;
    bool flag(const std::string& name, bool usually) const;
    bool is_gateway() const { return role() == "gateway"; }

  private:
    const CLI::Option* find(const std::string& name) const;
    const CLI::App& command_;
};

struct DoctorSettings {
    std::uint64_t disk_bytes_min = 0;  // free, on the disk of the data
};

// Blocking. Keys, secrets and certificates; limits of this machine.
void check_secrets(const RoleOptions& options, Findings& findings);
// Blocking. The data directory, its disk and databases; models.
void check_storage(const RoleOptions& options, const DoctorSettings& settings, Findings& findings);
// Ports and whoever the role talks to, each within seconds and all at once.
Task<Result<bool>> check_network(Session& session, const RoleOptions& options, Findings& findings);

// Whether a gateway has the data directory right now.
bool data_is_in_use(const RoleOptions& options);

}  // namespace framegrid::app
