// Secrets that all gateways with one database must agree about.
#pragma once

#include <string>

#include <framegrid/base/bytes.hpp>
#include <framegrid/base/result.hpp>

namespace framegrid::store_postgres {

// The secret of that name; `fresh` becomes it when there is none. `url`: as Connection::open() takes it, of a
// database that Database::open() has been at. Blocking. kIo.
Result<Bytes> shared_secret(const std::string& url, const std::string& name, const Bytes& fresh);

}  // namespace framegrid::store_postgres
