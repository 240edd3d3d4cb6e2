#include <framegrid/wire/protobuf_log.hpp>

#include <google/protobuf/stubs/logging.h>

namespace framegrid::wire {

void silence_protobuf() {
    google::protobuf::SetLogHandler(nullptr);
}

}  // namespace framegrid::wire
