// A job's `verification` on the command line.
#pragma once

#include <string>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>

namespace framegrid::app {

struct VerificationOptions {
    std::string mode;         // none or repeat; empty: what the document says
    std::string on_mismatch;  // fail or report; empty: the same
};

void add_verification_options(CLI::App& command, VerificationOptions& options);
// What the command line says in the place of what the document does.
void put_verification(const VerificationOptions& options, boost::json::object& document);
// Of a job or an event: "agreed (bytes)", "disagreed (pictures): PSNR 12.5 dB, below 50"; empty: nothing was
// to be verified, or is yet.
std::string verification_line(const boost::json::object& verification);

}  // namespace framegrid::app
