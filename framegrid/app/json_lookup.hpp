// Members of a gateway's answer, which may lack any of them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json.hpp>

namespace framegrid::app {

// "" when there is none, or it is no string.
std::string text_of(const boost::json::object& from, std::string_view name);
// 0 when there is none, or it is no number.
std::int64_t number_of(const boost::json::object& from, std::string_view name);
// Empty when there is none, or it is of another kind.
boost::json::array list_of(const boost::json::object& from, std::string_view name);
boost::json::object object_of(const boost::json::object& from, std::string_view name);
// The objects of a list; what is none becomes an empty one.
std::vector<boost::json::object> objects_of(const boost::json::object& from, std::string_view name);

}  // namespace framegrid::app
