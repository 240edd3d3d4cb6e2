// S3's lists of objects, as a store that is not one may send them.
#include <framegrid/objects_s3/s3_listing.hpp>

#include <framegrid/base/result.hpp>

using namespace framegrid;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view xml(reinterpret_cast<const char*>(data), size);
    const auto listing = objects_s3::parse_listing(xml);
    std::size_t bytes = 0;
    for (const auto& object : listing.objects) {
        bytes += object.name.size();
        FG_ASSERT(object.name.find('/') == std::string::npos);
    }
    FG_ASSERT(bytes + listing.next.size() <= size);
    return 0;
}
