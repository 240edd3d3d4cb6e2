// The job store's file and its tables.
#pragma once

#include <filesystem>
#include <memory>

#include <framegrid/sqlite/database.hpp>

namespace framegrid::store_sqlite {

using sqlite::Connection;
using sqlite::Database;

// Blocking: opens or makes the file. kIo tells what to do.
Result<std::unique_ptr<Database>> open_file(std::filesystem::path file);

}  // namespace framegrid::store_sqlite
