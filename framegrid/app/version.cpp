#include <framegrid/app/version.hpp>

namespace framegrid::app {
std::string version_text() {
    return FG_VERSION;
}
}  // namespace framegrid::app
