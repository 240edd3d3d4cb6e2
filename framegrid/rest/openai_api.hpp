// The OpenAI-compatible routes (docs/openai.md): another form of durable jobs and stored files.
#pragma once

#include <framegrid/api/stored_files.hpp>
#include <framegrid/gateway/gateway.hpp>
#include <framegrid/rest/artifacts_api.hpp>
#include <framegrid/rest/jobs_api.hpp>
#include <framegrid/rest/openai_request.hpp>

namespace framegrid::rest {

struct OpenAiSettings {
    std::size_t body_bytes_max = 310'000'000;  // of a form with its files
    Duration upload_time_max = std::chrono::minutes(5);
    Duration image_time_max = std::chrono::minutes(10);  // that a client waits for its pictures
    std::size_t image_bytes_max = 64u << 20;             // of one that is answered as base64
    std::string public_url;                              // as RestSettings
};

// What the references name outlives whoever has them.
struct OpenAiPorts {
    JobPorts jobs;
    JobsApi& jobs_api;
    ArtifactsApi& artifacts_api;
    gateway::Gateway& gateway;
    WorkPool& pool;
    Clock& clock;
    Random& random;
};

// What these routes share. Lives as long as the Rest.
class OpenAiCommon {
  public:
    OpenAiCommon(OpenAiPorts ports, OpenAiSettings settings);

    // The fields and files of a form or of a JSON body.
    Task<Result<OpenAiFields>> read_fields(Call& call);
    // Stores the part as a file of the caller's and returns its id. An empty part is kInvalidArgument.
    Task<Result<job::ArtifactRecord>> keep(Call& call, http::Part part);
    // kNotFound when a model is named that no node offers for this pipeline.
    Result<void> check_model(const job::Document& document) const;
    std::string artifact_url(const Call& call, const std::string& id) const;

    const OpenAiPorts& ports() const { return ports_; }
    const OpenAiSettings& settings() const { return settings_; }

  private:
    OpenAiPorts ports_;
    const OpenAiSettings settings_;
    api::StoredFiles files_;
};

// Why a job ended without a result.
Error failure_of(const job::Record& record);
// An error of these routes, in OpenAI's words and with the status that its clients expect.
Answer openai_refusal(const Call& call, Error error);

// The entries of `query` that a list of OpenAI's has, whose ids are job::is_id() of `kind`. kInvalidArgument:
// another name, or a wrong value.
struct OpenAiPage {
    std::string after;  // an id; empty: from the newest
    std::size_t limit = 20;
};
Result<OpenAiPage> read_openai_page(const http::RequestHead& head, std::string_view kind, std::size_t limit);
// {"object":"list","data":[...],"first_id","last_id","has_more"}
Answer openai_page(boost::json::array data, bool has_more);

}  // namespace framegrid::rest
