#include <framegrid/store_sqlite/check.hpp>

#include <string>

#include <SQLiteCpp/SQLiteCpp.h>

namespace framegrid::store_sqlite {

Result<void> check_file(const std::filesystem::path& file) {
    constexpr int kBusyTimeMs = 2'000;
    try {
        SQLite::Database database(file.string(), SQLite::OPEN_READONLY, kBusyTimeMs);
        const std::string said = database.execAndGet("PRAGMA quick_check(1)").getString();
        if (said != "ok") {
            return fail(Errc::kIo, "the database is damaged: " + said);
        }
    } catch (const SQLite::Exception& exception) {
        return fail(Errc::kIo, std::string("the database cannot be read: ") + exception.what());
    }
    return {};
}

}  // namespace framegrid::store_sqlite
