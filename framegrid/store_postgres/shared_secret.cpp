#include <framegrid/store_postgres/shared_secret.hpp>

#include <framegrid/crypto/hash.hpp>
#include <framegrid/store_postgres/connection.hpp>

namespace framegrid::store_postgres {

Result<Bytes> shared_secret(const std::string& url, const std::string& name, const Bytes& fresh) {
    FG_TRY(connection, Connection::open(url));
    const auto value = crypto::hex(fresh);
    FG_CHECK(connection->query(
        "INSERT INTO shared_secrets (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
        {name, value}
    ));
    FG_TRY(rows, connection->query("SELECT value FROM shared_secrets WHERE name = $1", {name}));
    if (rows.empty()) {
        return fail(Errc::kIo, "the database does not keep the secret " + name);
    }
    return crypto::parse_hex(rows.text(0, 0));
}

}  // namespace framegrid::store_postgres
