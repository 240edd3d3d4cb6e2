// A rendition's segment as a stranger's worker may send it: whatever it holds, the names are fit for a
// playlist.
#include <framegrid/media/ts_codecs.hpp>

#include <framegrid/base/result.hpp>

using namespace framegrid;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string names = media::ts_codecs({data, size});
    FG_ASSERT(names.find_first_not_of("0123456789abcdefghijklmnopqrstuvwxyzLH.,-") == std::string::npos);
    return 0;
}
