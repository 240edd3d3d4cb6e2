// Operators that move elements or compute shapes.
#include <algorithm>
#include <cstring>
#include <functional>
#include <utility>

#include <framegrid/onnx_graph/shape_step.hpp>

namespace framegrid::onnx_graph {

namespace {

bool is_scalar(const TensorFacts& facts) {
    return facts.shape && facts.shape->empty();
}

void identity(ShapeStep& step) {
    step.outputs()[0] = step.input(0);
}

void cast(ShapeStep& step) {
    if (step.number("to", 0) == kOnnxInt64 && step.input(0).whole) {
        return identity(step);
    }
    same_as_first(step);
}

void shape_operator(ShapeStep& step) {
    const auto& shape = step.shape(0);
    if (!shape) {
        return;
    }
    const auto rank = static_cast<std::int64_t>(shape->size());
    const auto at = [rank](std::int64_t index) {
        return std::clamp<std::int64_t>(index < 0 ? index + rank : index, 0, rank);
    };
    const std::int64_t start = at(step.number("start", 0));
    const std::int64_t end = std::max(start, at(step.number("end", rank)));
    step.set_whole({shape->begin() + start, shape->begin() + end}, false);
}

void gather(ShapeStep& step) {
    const auto& data = step.input(0);
    const auto& indices = step.input(1);
    if (!data.shape || !indices.shape) {
        return;
    }
    const auto axis = axis_of(step.number("axis", 0), data.shape->size());
    if (!axis) {
        return;
    }
    if (const auto picked = step.constants(1); data.whole && picked && !is_scalar(data)) {
        SymbolicShape values;
        for (const auto index : *picked) {
            const auto at = axis_of(index, data.whole->size());
            if (!at) {
                return;
            }
            values.push_back((*data.whole)[*at]);
        }
        return step.set_whole(std::move(values), is_scalar(indices));
    }
    SymbolicShape out(data.shape->begin(), data.shape->begin() + static_cast<std::ptrdiff_t>(*axis));
    out.insert(out.end(), indices.shape->begin(), indices.shape->end());
    out.insert(out.end(), data.shape->begin() + static_cast<std::ptrdiff_t>(*axis) + 1, data.shape->end());
    step.set(0, std::move(out));
}

void unsqueeze(ShapeStep& step) {
    const auto& data = step.input(0);
    auto axes = step.numbers_or_input("axes", 1);
    if (!data.shape || !axes) {
        return;
    }
    const std::size_t rank = data.shape->size() + axes->size();
    std::vector<bool> is_new(rank, false);
    for (const auto axis : *axes) {
        const auto at = axis_of(axis, rank);
        if (!at || is_new[*at]) {
            return;
        }
        is_new[*at] = true;
    }
    if (data.whole && rank <= 1) {
        return step.set_whole(*data.whole, rank == 0);
    }
    SymbolicShape out;
    std::size_t next = 0;
    for (std::size_t i = 0; i < rank; ++i) {
        out.push_back(is_new[i] ? SymbolicDim(1) : (*data.shape)[next++]);
    }
    step.set(0, std::move(out));
}

void squeeze(ShapeStep& step) {
    const auto& data = step.input(0);
    const auto axes = step.numbers_or_input("axes", 1);
    if (!data.shape || !axes) {
        return;
    }
    SymbolicShape out = *data.shape;
    std::vector<std::size_t> gone;
    for (const auto axis : *axes) {
        const auto at = axis_of(axis, out.size());
        if (!at) {
            return;
        }
        gone.push_back(*at);
    }
    std::ranges::sort(gone, std::greater<>());
    gone.erase(std::unique(gone.begin(), gone.end()), gone.end());
    for (const auto at : gone) {
        out.erase(out.begin() + static_cast<std::ptrdiff_t>(at));
    }
    if (data.whole && data.whole->size() == 1 && out.empty()) {
        return step.set_whole(*data.whole, true);
    }
    step.set(0, std::move(out));
}

void concat(ShapeStep& step) {
    bool has_whole = true;
    SymbolicShape values;
    for (int i = 0; i < step.node().input_size(); ++i) {
        const auto& input = step.input(i);
        if (!input.shape || input.shape->size() != step.shape(0)->size()) {
            return;
        }
        has_whole = has_whole && input.whole && input.shape->size() == 1;
        if (has_whole) {
            values.insert(values.end(), input.whole->begin(), input.whole->end());
        }
    }
    if (has_whole) {
        return step.set_whole(std::move(values), false);
    }
    SymbolicShape out = *step.shape(0);
    const auto axis = axis_of(step.number("axis", 0), out.size());
    if (!axis) {
        return;
    }
    for (int i = 1; i < step.node().input_size(); ++i) {
        const auto& shape = *step.shape(i);
        for (std::size_t j = 0; j < out.size(); ++j) {
            if (j == *axis) {
                out[j] = step.symbols().add(out[j], shape[j]);
            } else if (shape[j].text().size() < out[j].text().size()) {
                out[j] = shape[j];  // they are the same, or the network fails: the simpler way to say it
            }
        }
    }
    step.set(0, std::move(out));
}

struct Cut {
    std::int64_t start = 0;
    std::int64_t end = 0;
    std::int64_t step = 1;
};

// The elements that a cut of `size` elements takes.
std::vector<std::int64_t> taken(const Cut& cut, std::int64_t size) {
    const auto at = [size](std::int64_t index, std::int64_t low, std::int64_t high) {
        return std::clamp(index < 0 ? index + size : index, low, high);
    };
    std::vector<std::int64_t> out;
    if (size <= 0) {
        return out;
    }
    if (cut.step > 0) {
        for (auto i = at(cut.start, 0, size); i < at(cut.end, 0, size); i += cut.step) {
            out.push_back(i);
        }
    } else if (cut.step < 0) {
        for (auto i = at(cut.start, 0, size - 1); i > at(cut.end, -1, size - 1); i += cut.step) {
            out.push_back(i);
        }
    }
    return out;
}

// All up to an end that is known only in the run: the positions of as many words as there are.
void slice_up_to(
    ShapeStep& step, const std::vector<std::int64_t>& starts, const std::vector<std::int64_t>& steps
) {
    const auto& ends = step.input(2).whole;
    const auto axes = step.constants(3);
    const auto& shape = *step.shape(0);
    if (!ends || ends->size() != 1 || starts != std::vector<std::int64_t>{0} ||
        steps != std::vector<std::int64_t>{1} || (step.has_input(3) && (!axes || axes->size() != 1)) ||
        step.symbols().least((*ends)[0]) < 0) {
        return;
    }
    const auto axis = axis_of(axes ? (*axes)[0] : 0, shape.size());
    if (!axis) {
        return;
    }
    SymbolicShape out = shape;
    out[*axis] = step.symbols().lesser(out[*axis], (*ends)[0]);
    step.set(0, std::move(out));
}

void slice(ShapeStep& step) {
    const auto& data = step.input(0);
    const auto starts = step.numbers_or_input("starts", 1);
    const auto ends = step.numbers_or_input("ends", 2);
    auto axes = step.numbers_or_input("axes", 3);
    const auto steps =
        step.has_input(4) ? step.constants(4) : std::vector<std::int64_t>(starts ? starts->size() : 0, 1);
    if (!data.shape || !starts || !steps || (step.has_input(3) && !axes)) {
        return;
    }
    if (!ends) {
        return slice_up_to(step, *starts, *steps);
    }
    constexpr std::int64_t kLimit = 1 << 30;
    constexpr std::int64_t kSizeMax = 1 << 20;
    SymbolicShape out = *data.shape;
    for (std::size_t i = 0; i < starts->size(); ++i) {
        const auto axis =
            axis_of(axes && i < axes->size() ? (*axes)[i] : static_cast<std::int64_t>(i), out.size());
        if (!axis || i >= ends->size() || i >= steps->size() ||
            std::clamp((*steps)[i], -kLimit, kLimit) != (*steps)[i]) {
            return;
        }
        const Cut cut{(*starts)[i], (*ends)[i], (*steps)[i]};
        const auto size = out[*axis].constant();
        if (size && data.whole && data.shape->size() == 1) {
            SymbolicShape values;
            for (const auto at : taken(cut, *size)) {
                values.push_back((*data.whole)[static_cast<std::size_t>(at)]);
            }
            return step.set_whole(std::move(values), false);
        }
        if (size && *size < kSizeMax) {
            out[*axis] = static_cast<std::int64_t>(taken(cut, *size).size());
        } else if (cut.start != 0 || cut.end < kLimit || cut.step != 1) {
            out[*axis] = step.symbols().fresh(0);
        }
    }
    step.set(0, std::move(out));
}

void broadcast_inputs(ShapeStep& step) {
    if (!step.shape(0)) {
        return;
    }
    SymbolicShape out = *step.shape(0);
    for (int i = 1; i < step.node().input_size(); ++i) {
        if (!step.shape(i)) {
            return;
        }
        out = broadcast_shapes(step.symbols(), out, *step.shape(i));
    }
    step.set(0, std::move(out));
}

// Element by element, where one of both may be a single one. nullopt: not all of it is known.
template <class T, class F>
std::optional<std::vector<T>> zip_whole(ShapeStep& step, F&& each) {
    const auto& a = step.input(0).whole;
    const auto& b = step.input(1).whole;
    if (!a || !b || a->empty() || b->empty() ||
        (a->size() != b->size() && a->size() != 1 && b->size() != 1)) {
        return std::nullopt;
    }
    std::vector<T> out;
    for (std::size_t i = 0; i < std::max(a->size(), b->size()); ++i) {
        const std::optional<T> value = each((*a)[a->size() == 1 ? 0 : i], (*b)[b->size() == 1 ? 0 : i]);
        if (!value) {
            return std::nullopt;
        }
        out.push_back(*value);
    }
    return out;
}

bool are_scalars(const ShapeStep& step) {
    return is_scalar(step.input(0)) && is_scalar(step.input(1));
}

template <SymbolicDim (SymbolTable::*kOperation)(const SymbolicDim&, const SymbolicDim&)>
void arithmetic(ShapeStep& step) {
    auto& symbols = step.symbols();
    auto values = zip_whole<SymbolicDim>(step, [&](const auto& a, const auto& b) {
        return std::optional((symbols.*kOperation)(a, b));
    });
    if (values) {
        return step.set_whole(std::move(*values), are_scalars(step));
    }
    broadcast_inputs(step);
}

void equal(ShapeStep& step) {
    auto& symbols = step.symbols();
    auto flags =
        zip_whole<bool>(step, [&](const SymbolicDim& a, const SymbolicDim& b) -> std::optional<bool> {
            if (a == b) {
                return true;
            }
            const auto difference = symbols.subtract(a, b);
            if (difference.constant() || symbols.least(difference) > 0 ||
                symbols.least(symbols.subtract(b, a)) > 0) {
                return false;
            }
            return std::nullopt;
        });
    if (flags) {
        return step.set_flags(std::move(*flags), are_scalars(step));
    }
    broadcast_inputs(step);
}

void where(ShapeStep& step) {
    const auto& first = step.input(0).flags;
    const auto& a = step.input(1).whole;
    const auto& b = step.input(2).whole;
    if (first && a && b && !first->empty() && !a->empty() && !b->empty()) {
        const std::size_t size = std::max({first->size(), a->size(), b->size()});
        const auto fits = [size](std::size_t own) { return own == 1 || own == size; };
        if (fits(first->size()) && fits(a->size()) && fits(b->size())) {
            SymbolicShape values;
            for (std::size_t i = 0; i < size; ++i) {
                const auto& from = (*first)[first->size() == 1 ? 0 : i] ? *a : *b;
                values.push_back(from[from.size() == 1 ? 0 : i]);
            }
            return step.set_whole(std::move(values), are_scalars(step) && is_scalar(step.input(2)));
        }
    }
    broadcast_inputs(step);
}

void reshape(ShapeStep& step) {
    const auto& data = step.input(0);
    const auto& target = step.input(1).whole;
    if (!target) {
        return;
    }
    if (data.whole && target->size() <= 1) {
        return step.set_whole(*data.whole, target->empty());
    }
    auto& symbols = step.symbols();
    SymbolicShape out = *target;
    std::optional<std::size_t> open;
    for (std::size_t i = 0; i < out.size(); ++i) {
        if (out[i].is(0) && step.number("allowzero", 0) == 0) {
            out[i] = data.shape && i < data.shape->size() ? (*data.shape)[i] : symbols.fresh(0);
        } else if (out[i].is(-1)) {
            open = i;
        }
    }
    if (open) {
        out[*open] = 1;
        out[*open] = data.shape ? symbols.divide(product_of(symbols, *data.shape), product_of(symbols, out))
                                : symbols.fresh(0);
    }
    step.set(0, std::move(out));
}

void transpose(ShapeStep& step) {
    const auto& shape = step.shape(0);
    if (!shape) {
        return;
    }
    SymbolicShape out(shape->rbegin(), shape->rend());
    if (const auto order = step.numbers("perm")) {
        if (order->size() != out.size()) {
            return;
        }
        for (std::size_t i = 0; i < out.size(); ++i) {
            const auto from = axis_of((*order)[i], out.size());
            if (!from) {
                return;
            }
            out[i] = (*shape)[*from];
        }
    }
    step.set(0, std::move(out));
}

void expand(ShapeStep& step) {
    const auto& target = step.input(1).whole;
    if (step.shape(0) && target) {
        step.set(0, broadcast_shapes(step.symbols(), *step.shape(0), *target));
    }
}

void constant_of_shape(ShapeStep& step) {
    const auto& shape = step.input(0).whole;
    if (!shape) {
        return;
    }
    const auto* value = step.attribute("value");
    const auto size = product_of(step.symbols(), *shape).constant();
    constexpr std::int64_t kSizeMax = 64;
    if (value != nullptr && value->t().data_type() == kOnnxInt64 && shape->size() <= 1 && size &&
        *size <= kSizeMax && *size >= 0) {
        std::int64_t each = 0;
        if (value->t().int64_data_size() == 1) {
            each = value->t().int64_data(0);
        } else if (value->t().raw_data().size() == sizeof(each)) {
            std::memcpy(&each, value->t().raw_data().data(), sizeof(each));
        } else {
            return step.set(0, *shape);
        }
        return step.set_whole(SymbolicShape(static_cast<std::size_t>(*size), each), shape->empty());
    }
    step.set(0, *shape);
}

void range(ShapeStep& step) {
    const auto start = step.constants(0);
    const auto& limit = step.input(1).whole;
    const auto delta = step.constants(2);
    const bool counts_up = start && delta && limit && start->size() == 1 && delta->size() == 1 &&
                           limit->size() == 1 && (*start)[0] == 0 && (*delta)[0] == 1;
    const bool is_size = counts_up && step.symbols().least((*limit)[0]) >= 0;
    step.set(0, {is_size ? (*limit)[0] : step.symbols().fresh(0)});
}

void split(ShapeStep& step) {
    const auto& shape = step.shape(0);
    const auto axis = shape ? axis_of(step.number("axis", 0), shape->size()) : std::nullopt;
    if (!axis) {
        return;
    }
    const auto parts = step.numbers_or_input("split", 1);
    const std::size_t count = step.outputs().size();
    for (std::size_t i = 0; i < count; ++i) {
        SymbolicShape out = *shape;
        const auto whole = out[*axis].constant();
        if (parts && parts->size() == count) {
            out[*axis] = (*parts)[i];
        } else if (!parts && !step.has_input(1) && whole && *whole % static_cast<std::int64_t>(count) == 0) {
            out[*axis] = *whole / static_cast<std::int64_t>(count);
        } else {
            out[*axis] = step.symbols().fresh(0);
        }
        step.set(i, std::move(out));
    }
}

void flatten(ShapeStep& step) {
    const auto& shape = step.shape(0);
    const auto axis = step.number("axis", 1);
    if (!shape || axis < 0 || axis > static_cast<std::int64_t>(shape->size())) {
        return;
    }
    const auto middle = shape->begin() + axis;
    step.set(
        0, {product_of(step.symbols(), {shape->begin(), middle}),
            product_of(step.symbols(), {middle, shape->end()})}
    );
}

void pad(ShapeStep& step) {
    const auto& shape = step.shape(0);
    const auto pads = step.numbers_or_input("pads", 1);
    if (!shape || !pads || step.has_input(3) || pads->size() != 2 * shape->size()) {
        return;
    }
    SymbolicShape out = *shape;
    for (std::size_t i = 0; i < out.size(); ++i) {
        out[i] = step.symbols().add(out[i], step.symbols().add((*pads)[i], (*pads)[out.size() + i]));
    }
    step.set(0, std::move(out));
}

}  // namespace

const ShapeRules& shape_rules_of_arrays() {
    static const ShapeRules kRules{
        {"Shape", shape_operator},
        {"Gather", gather},
        {"Unsqueeze", unsqueeze},
        {"Squeeze", squeeze},
        {"Concat", concat},
        {"Slice", slice},
        {"Cast", cast},
        {"Identity", identity},
        {"Add", arithmetic<&SymbolTable::add>},
        {"Sub", arithmetic<&SymbolTable::subtract>},
        {"Mul", arithmetic<&SymbolTable::multiply>},
        {"Div", arithmetic<&SymbolTable::divide>},
        {"Equal", equal},
        {"Where", where},
        {"Reshape", reshape},
        {"Transpose", transpose},
        {"Expand", expand},
        {"ConstantOfShape", constant_of_shape},
        {"Range", range},
        {"Split", split},
        {"Flatten", flatten},
        {"Pad", pad},
        {"ScatterND", same_as_first},
        {"Mod", broadcast_inputs},
        {"Pow", broadcast_inputs},
        {"Less", broadcast_inputs},
        {"Greater", broadcast_inputs},
        {"LessOrEqual", broadcast_inputs},
        {"GreaterOrEqual", broadcast_inputs},
        {"And", broadcast_inputs},
        {"Or", broadcast_inputs},
        {"Min", broadcast_inputs},
        {"Max", broadcast_inputs},
        {"Sum", broadcast_inputs},
    };
    return kRules;
}

}  // namespace framegrid::onnx_graph
