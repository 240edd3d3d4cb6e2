// What a hostile executor may write to its parent, as a stream, as single messages and as answers to probes.
#include <cstdint>
#include <cstdlib>

#include <framegrid/sandbox/message.hpp>
#include <framegrid/sandbox/probe.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace framegrid;
    using namespace framegrid::sandbox;
    FrameReader reader;
    const BytesView bytes(data, size);
    reader.append(bytes.first(size / 2));
    bool broken = false;
    for (const BytesView rest : {bytes.subspan(size / 2), BytesView{}}) {
        while (!broken) {
            const auto message = reader.next();
            broken = !message;
            if (broken || !*message) {
                break;
            }
        }
        reader.append(rest);
    }
    if (const auto message = decode(bytes)) {
        // What was accepted can be said again.
        const auto frame = encode(*message);
        if (!frame || !decode(BytesView(*frame).subspan(4))) {
            std::abort();
        }
    }
    const api::WorkOutput answer{
        {{"probe", "text/plain", Blob::copy_of(bytes), Pixels{}, std::nullopt}}, Pixels{}
    };
    if (const auto found = parse_probe_output(answer)) {
        const auto again = probe_output(*found);
        if (!again || parse_probe_output(*again).value() != *found) {
            std::abort();
        }
    }
    return 0;
}
