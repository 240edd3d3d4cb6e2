#include <framegrid/rest/admission.hpp>

#include <fmt/format.h>

#include <framegrid/rest/request_text.hpp>

namespace framegrid::rest {

namespace {

std::unexpected<Error> too_large(std::size_t limit) {
    return fail(Errc::kTooLarge, fmt::format("the body is over {} bytes", limit), "body");
}

std::unexpected<Error> no_room() {
    return fail(Errc::kCapacity, "the gateway holds as many bytes as it may; try again later");
}

}  // namespace

Task<Result<Blob>> read_body(
    http::Exchange& exchange, MemoryLease& memory, std::size_t limit, Clock& clock, Deadline deadline
) {
    std::size_t declared = 0;
    if (const auto length = exchange.head.headers.get("content-length")) {
        const auto number = parse_integer(*length);
        if (number && *number >= 0) {
            declared = static_cast<std::size_t>(*number);
        }
    }
    if (declared > limit) {
        co_return too_large(limit);
    }
    if (!memory.has_room(declared)) {
        co_return no_room();
    }
    Blob first;
    Bytes all;
    for (;;) {
        auto piece = co_await exchange.body.read();
        if (!piece) {
            co_return fail(std::move(piece.error()));
        }
        if (piece->empty()) {
            break;
        }
        const std::size_t so_far = first.size() + all.size();
        if (piece->size() > limit - so_far) {
            co_return too_large(limit);
        }
        if (!memory.has_room(piece->size())) {
            co_return no_room();
        }
        if (deadline.passed(clock)) {
            co_return fail(Errc::kDeadline, "the body took too long to arrive", "body");
        }
        memory.hold(piece->size());
        if (so_far == 0) {
            first = std::move(*piece);
            continue;
        }
        if (all.empty()) {
            // Pages that are never written cost nothing, so a false content-length does no harm.
            all.reserve(std::max(declared, first.size() + piece->size()));
            all.insert(all.end(), first.view().begin(), first.view().end());
            first = {};
        }
        all.insert(all.end(), piece->view().begin(), piece->view().end());
    }
    if (all.empty()) {
        co_return first;  // a single piece: nothing to copy
    }
    co_return Blob(std::move(all));
}

}  // namespace framegrid::rest
