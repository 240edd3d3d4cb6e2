#include <framegrid/api/objects.hpp>

namespace framegrid::api {

Task<Result<ObjectInfo>> put_object(Objects& objects, Blob bytes, Deadline deadline) {
    auto writer = co_await objects.create(deadline);
    if (!writer) {
        co_return fail(std::move(writer.error()));
    }
    FG_CO_CHECK(co_await (*writer)->append(std::move(bytes), deadline));
    co_return co_await (*writer)->finish(deadline);
}

Task<Result<Blob>> get_object(Objects& objects, std::string digest, std::uint64_t limit, Deadline deadline) {
    const auto info = co_await objects.stat(digest, deadline);
    if (!info) {
        co_return fail(info.error());
    }
    if (info->bytes > limit) {
        co_return fail(Errc::kTooLarge, "the file is larger than " + std::to_string(limit) + " bytes");
    }
    Bytes whole;
    whole.reserve(info->bytes);
    while (whole.size() < info->bytes) {
        const auto piece = co_await objects.read(digest, whole.size(), info->bytes - whole.size(), deadline);
        if (!piece) {
            co_return fail(piece.error());
        }
        if (piece->empty()) {
            co_return fail(Errc::kIo, "a stored file is shorter than it was");
        }
        const auto view = piece->view();
        whole.insert(whole.end(), view.begin(), view.end());
    }
    co_return Blob(std::move(whole));
}

}  // namespace framegrid::api
