// Private: S3's answers that list objects.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace framegrid::objects_s3 {

bool is_digest(std::string_view text);

// The text of the first <name> of an answer: S3's answers are flat, and these are all that is read of them.
std::string element(std::string_view xml, std::string_view name);

struct ListedObject {
    std::string name;  // behind the key's last slash
    std::int64_t changed_unix_ms = 0;
};

// One page of ListObjectsV2.
struct Listing {
    std::vector<ListedObject> objects;
    std::string next;  // the token of the next page; empty: this was the last one
};

// Objects whose time cannot be read count as changed in the far future.
Listing parse_listing(std::string_view xml);

}  // namespace framegrid::objects_s3
