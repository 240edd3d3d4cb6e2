// Whether a job store's file is whole.
#pragma once

#include <filesystem>

#include <framegrid/base/result.hpp>

namespace framegrid::store_sqlite {

// Reads the whole file and changes nothing; a gateway may be using it. Blocking. kIo: it is damaged, or
// written by a newer version.
Result<void> check_file(const std::filesystem::path& file);

}  // namespace framegrid::store_sqlite
