#include <framegrid/api/stored_files.hpp>

#include <framegrid/job/record.hpp>
#include <framegrid/media/file_types.hpp>

namespace framegrid::api {

Task<Result<job::ArtifactRecord>> StoredFiles::keep(job::ArtifactRecord about, Blob bytes) {
    auto object = co_await put_object(objects_, bytes, soon());
    if (!object) {
        co_return fail(std::move(object.error()));
    }
    co_return co_await add_record(std::move(about), *std::move(object), std::move(bytes));
}

Task<Result<job::ArtifactRecord>> StoredFiles::add_record(
    job::ArtifactRecord about, ObjectInfo object, Blob head
) {
    about.created_unix_ms = clock_.unix_ms();
    about.expires_unix_ms = about.created_unix_ms + milliseconds(life_);
    about.id = job::make_id("art", about.created_unix_ms, random_);
    about.digest = std::move(object.digest);
    about.bytes = object.bytes;
    if (about.content_type.empty()) {
        about.content_type = std::string(media::recognise(head.view()).value_or("application/octet-stream"));
    }
    FG_CO_CHECK(co_await index_.add(about));
    co_return about;
}

}  // namespace framegrid::api
