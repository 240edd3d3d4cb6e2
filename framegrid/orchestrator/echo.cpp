#include <framegrid/orchestrator/echo.hpp>

#include <algorithm>

namespace framegrid::orchestrator {

Task<Result<api::WorkOutput>> give_back(
    std::shared_ptr<api::Transfer> transfer, bool digest, Deadline deadline
) {
    auto hash = crypto::Digest::sha256();
    const auto input = transfer->open_input();
    FG_CO_CHECK(co_await transfer->begin_output(deadline));
    api::FileFacts facts;
    for (;;) {
        auto piece = co_await input->read();
        if (!piece) {
            co_return fail(std::move(piece.error()));
        }
        if (piece->empty()) {
            break;
        }
        facts.bytes += piece->size();
        if (digest) {
            hash.update(piece->view());
        }
        FG_CO_CHECK(co_await transfer->append(std::move(*piece), deadline));
    }
    if (facts.bytes != transfer->input().bytes) {
        co_return fail(Errc::kProtocol, "the input is not as long as was said");
    }
    FG_CO_CHECK(co_await transfer->end_output(deadline));
    if (digest) {
        std::ranges::copy(hash.finish(), facts.sha256.begin());
        transfer->set_input_digest(facts.sha256);
    }
    api::WorkOutput out;
    api::Artifact artifact;
    artifact.name = "echo";
    artifact.file = facts;
    out.artifacts.push_back(std::move(artifact));
    co_return out;
}

}  // namespace framegrid::orchestrator
