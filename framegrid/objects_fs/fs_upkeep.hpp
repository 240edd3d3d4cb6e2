// Private: where files of a store lie, and what keeps it free of those that nobody has a record of. Blocking.
#pragma once

#include <framegrid/api/object_upkeep.hpp>
#include <framegrid/host/files.hpp>

namespace framegrid::objects_fs {

bool is_digest(std::string_view text);
// ROOT/ab/cd/abcd...
host::Path path_of(const host::Path& root, const std::string& digest);
// ROOT/aside/abcd...
host::Path aside_path_of(const host::Path& root, const std::string& digest);

// As the methods of api::ObjectUpkeep. `from` of a page names a folder: "abcd".
Result<bool> claim_directory(const host::Path& root, const std::string& owner);
Result<api::ObjectPage> list_stored(
    const host::Path& root, std::int64_t before_unix_ms, const std::string& from, std::size_t limit
);
Result<void> set_file_aside(const host::Path& root, const std::string& digest);
Result<std::vector<std::string>> list_aside(
    const host::Path& root, std::int64_t before_unix_ms, std::size_t limit
);
Result<void> put_file_back(const host::Path& root, const std::string& digest);
Result<void> drop_aside(const host::Path& root, const std::string& digest);

}  // namespace framegrid::objects_fs
