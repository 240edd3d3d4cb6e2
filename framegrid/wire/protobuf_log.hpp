// What the protobuf library would write to stderr by itself.
#pragma once

namespace framegrid::wire {

// From here on it writes nothing there: its lines (a string that is not UTF-8, a field that is missing) are
// about what peers sent, whose sender could fill a log with them, and each such message is refused with an
// error that says so. Once, before threads.
void silence_protobuf();

}  // namespace framegrid::wire
