// `framegrid account verify|reconcile`: books of receipts, checked and compared by anybody.
#pragma once

#include <framegrid/app/commands.hpp>

namespace framegrid::app {

void add_account_book_commands(CLI::App& account, const CommonOptions& common, Run& run);

}  // namespace framegrid::app
