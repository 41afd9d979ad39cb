// The sockets of the API, on RESTinio. The only file that includes it: it takes long to compile.
#include "api/http_server.hpp"

#include <spdlog/spdlog.h>

#include <condition_variable>
#include <mutex>
#include <restinio/all.hpp>
#include <thread>

#include "api/routes.hpp"
#include "base/parse_number.hpp"

namespace selfheal {
namespace {

namespace asio = restinio::asio_ns;

// The limiter takes effect only where the traits ask for it.
struct HttpTraits : restinio::traits_t<restinio::asio_timer_manager_t, restinio::null_logger_t> {
  static constexpr bool use_connection_count_limiter = true;
};

using HttpEngine = restinio::http_server_t<HttpTraits>;
using RequestHandle = restinio::request_handle_t;
using StreamOutput = restinio::response_builder_t<restinio::chunked_output_t>;

constexpr std::size_t thread_count = 2;
constexpr std::size_t connections_max = 512;
constexpr std::size_t streams_max = 100;
// A client that reads more slowly than decisions come is let go of.
constexpr std::size_t stream_bytes_max = 1 << 20;
// Above request_bytes_max, so that a body somewhat too long is answered and not cut off.
constexpr std::size_t body_bytes_cut = 2 * request_bytes_max;
constexpr auto answer_limit = std::chrono::seconds(10);
constexpr auto after_limit = std::chrono::seconds(5);
constexpr auto after_interval = std::chrono::milliseconds(20);
// Finds streams whose client has gone.
constexpr auto stream_interval = std::chrono::seconds(5);
constexpr auto bus_interval = std::chrono::seconds(2);
constexpr DurationMs bus_wait_ms = 1000;

struct ListenAddress {
  std::string host;
  std::uint16_t port = 0;
};

Result<ListenAddress> parse_listen(const std::string& listen) {
  const std::size_t colon = listen.rfind(':');
  const Error wrong{ErrorCode::invalid, "http.listen must be host:port, not '" + listen + "'"};
  if (colon == std::string::npos || colon == 0) return wrong;
  const std::optional<std::uint16_t> port = parse_number<std::uint16_t>(listen.substr(colon + 1));
  if (!port) return wrong;
  ListenAddress address{listen.substr(0, colon), *port};
  if (address.host.starts_with('[') && address.host.ends_with(']')) {
    address.host = address.host.substr(1, address.host.size() - 2);
  }
  return address;
}

std::string_view reason_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 202:
      return "Accepted";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 409:
      return "Conflict";
    case 413:
      return "Payload Too Large";
    case 503:
      return "Service Unavailable";
    default:
      return status < 500 ? "Error" : "Internal Server Error";
  }
}

restinio::http_status_line_t status_line(int status) {
  return {restinio::http_status_code_t{static_cast<std::uint16_t>(status)},
          std::string(reason_of(status))};
}

ApiRequest api_request(const RequestHandle& handle) {
  ApiRequest request;
  request.method = handle->header().method().c_str();
  request.target = handle->header().request_target();
  handle->header().for_each_field([&](const auto& each) {
    std::string name(each.name());
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    request.headers[name] = each.value();
  });
  request.body = handle->body();
  return request;
}

template <class Builder>
void add_headers(Builder& builder, const ApiResponse& response) {
  builder.append_header(restinio::http_field::content_type, response.content_type);
  builder.append_header("Cache-Control", "no-store");
  builder.append_header("X-Content-Type-Options", "nosniff");
  for (const auto& [name, value] : response.headers) builder.append_header(name, value);
}

}  // namespace

// Lets go of everything that waits in it before its own end.
class DrainableContext : public asio::io_context {
 public:
  using asio::execution_context::shutdown;
};

// Shared with the callbacks of the bus, which may come after the server has stopped: they hold it
// weakly and find nothing.
class HttpState : public std::enable_shared_from_this<HttpState> {
 public:
  explicit HttpState(ApiContext context) : context_(std::move(context)) {
    context_.bus_trouble = [this] {
      const std::lock_guard lock(bus_mutex_);
      return bus_trouble_;
    };
  }

  Result<std::string> start() {
    const Result<ListenAddress> address = parse_listen(context_.options.listen);
    if (!address) return address.error();
    try {
      engine_ =
          std::make_unique<HttpEngine>(restinio::external_io_context(io_), settings_for(*address));
      engine_->open_sync();
    } catch (const std::exception& failure) {
      return Error{ErrorCode::unavailable, "cannot listen on " + context_.options.listen + ": " +
                                               failure.what() + "; name another http.listen"};
    }
    listen_to_decisions();
    for (std::size_t i = 0; i < thread_count; ++i) {
      threads_.emplace_back([this] { serve(); });
    }
    threads_.emplace_back([this] { watch_bus(); });
    asio::post(io_, [this] { keep_streams(); });
    const std::string host =
        address->host.find(':') == std::string::npos ? address->host : "[" + address->host + "]";
    return host + ":" + std::to_string(port_);
  }

  void stop() {
    {
      const std::lock_guard lock(bus_mutex_);
      if (stopping_) return;
      stopping_ = true;
    }
    bus_wake_.notify_all();
    asio::post(io_, [this] {
      if (engine_) engine_->close_sync();
      io_.stop();
    });
    for (std::thread& thread : threads_) thread.join();
    {
      const std::lock_guard lock(mutex_);
      pending_.clear();
      streams_.clear();
    }
    // Connections count themselves out of the engine: they end while it is still there.
    io_.shutdown();
  }

 private:
  struct Stream {
    StreamOutput output;
    std::size_t waiting_bytes = 0;  // handed over and not yet written
  };

  // One request that goes wrong must not end the service.
  void serve() {
    while (!io_.stopped()) {
      try {
        io_.run();
      } catch (const std::exception& failure) {
        spdlog::error("http: {}", failure.what());
      }
    }
  }

  restinio::server_settings_t<HttpTraits> settings_for(const ListenAddress& address) {
    restinio::server_settings_t<HttpTraits> settings;
    asio::ip::tcp::resolver resolver(io_);
    const auto found = resolver.resolve(address.host, std::to_string(address.port));
    settings.address(found.begin()->endpoint().address())
        .port(address.port)
        .protocol(found.begin()->endpoint().protocol())
        .max_parallel_connections(connections_max)
        .concurrent_accepts_count(thread_count)
        .separate_accept_and_create_connect(true)
        .read_next_http_message_timelimit(std::chrono::seconds(15))
        .write_http_response_timelimit(std::chrono::seconds(10))
        .handle_request_timeout(answer_limit + after_limit + std::chrono::seconds(5))
        .incoming_http_msg_limits(restinio::incoming_http_msg_limits_t{}
                                      .max_url_size(8192)
                                      .max_field_name_size(256)
                                      .max_field_value_size(8192)
                                      .max_field_count(100)
                                      .max_body_size(body_bytes_cut))
        .acceptor_options_setter([](restinio::acceptor_options_t& options) {
          options.set_option(asio::ip::tcp::acceptor::reuse_address(true));
        })
        .acceptor_post_bind_hook(
            [this](asio::ip::tcp::acceptor& acceptor) { port_ = acceptor.local_endpoint().port(); })
        .request_handler([this](const RequestHandle& handle) { return take(handle); });
    return settings;
  }

  restinio::request_handling_status_t take(const RequestHandle& handle) {
    auto request = std::make_shared<ApiRequest>(api_request(handle));
    const std::uint64_t number = remember(handle);
    const std::optional<AfterPlace> after = after_place(*request);
    if (after && request->method == "GET") {
      wait_for(*after, std::chrono::steady_clock::now() + after_limit, request, number);
    } else {
      route(std::move(*request), number);
    }
    return restinio::request_accepted();
  }

  std::uint64_t remember(const RequestHandle& handle) {
    const std::lock_guard lock(mutex_);
    pending_[++last_number_] = handle;
    return last_number_;
  }

  RequestHandle forget(std::uint64_t number) {
    const std::lock_guard lock(mutex_);
    const auto found = pending_.find(number);
    if (found == pending_.end()) return {};
    RequestHandle handle = std::move(found->second);
    pending_.erase(found);
    return handle;
  }

  void wait_for(AfterPlace place, std::chrono::steady_clock::time_point until,
                std::shared_ptr<ApiRequest> request, std::uint64_t number) {
    const bool late = std::chrono::steady_clock::now() >= until;
    if (late || has_reached(context_, place)) return route(std::move(*request), number);
    auto timer = std::make_shared<asio::steady_timer>(io_, after_interval);
    timer->async_wait([=, this](const asio::error_code& failure) {
      // The timer lives as long as its own wait.
      if (!failure && timer) wait_for(place, until, request, number);
    });
  }

  void route(ApiRequest request, std::uint64_t number) {
    const bool head = request.method == "HEAD";
    const std::weak_ptr<HttpState> weak = weak_from_this();
    try {
      route_request(context_, std::move(request), [=](ApiResponse response) {
        const std::shared_ptr<HttpState> state = weak.lock();
        if (!state) return;
        if (head) response.body.clear();
        state->send(number, std::move(response));
      });
    } catch (const std::exception& failure) {
      spdlog::error("http: a handler failed: {}", failure.what());
      send(number, problem(500, "INTERNAL", "the request could not be handled"));
    }
    limit_answer(number);
  }

  // The bus answers when it answers; the caller is told after a while that it has not.
  void limit_answer(std::uint64_t number) {
    {
      const std::lock_guard lock(mutex_);
      if (!pending_.contains(number)) return;
    }
    auto timer = std::make_shared<asio::steady_timer>(io_, answer_limit);
    timer->async_wait([this, timer, number](const asio::error_code& failure) {
      if (failure) return;
      send(number, unavailable(context_,
                               "the bus has not answered in 10 s; it may have stored "
                               "what was sent"));
    });
  }

  // Does nothing where the request was answered already.
  void send(std::uint64_t number, ApiResponse response) {
    const RequestHandle handle = forget(number);
    if (!handle) return;
    if (response.event_stream) return open_stream(handle, number, response);
    auto builder = handle->create_response(status_line(response.status));
    add_headers(builder, response);
    builder.set_body(std::move(response.body));
    builder.done();
  }

  void open_stream(const RequestHandle& handle, std::uint64_t number, const ApiResponse& response) {
    const std::lock_guard lock(mutex_);
    if (streams_.size() >= streams_max) {
      ApiResponse full = problem(503, "TOO_MANY_STREAMS", "too many event streams are open");
      auto builder = handle->create_response(status_line(503));
      add_headers(builder, full);
      builder.set_body(std::move(full.body));
      builder.done();
      return;
    }
    auto output = handle->create_response<restinio::chunked_output_t>(status_line(200));
    add_headers(output, response);
    const auto added = streams_.emplace(number, Stream{std::move(output), 0});
    write(number, added.first->second, ": open\n\n" + response.body);
  }

  // Under mutex_.
  void write(std::uint64_t number, Stream& stream, std::string text) {
    const std::size_t bytes = text.size();
    stream.waiting_bytes += bytes;
    stream.output.append_chunk(std::move(text));
    const std::weak_ptr<HttpState> weak = weak_from_this();
    stream.output.flush([weak, number, bytes](const asio::error_code& failure) {
      const std::shared_ptr<HttpState> state = weak.lock();
      if (!state) return;
      // Later: this may run while mutex_ is held.
      HttpState* here = state.get();
      asio::post(here->io_, [here, number, bytes, failed = static_cast<bool>(failure)] {
        here->written(number, bytes, failed);
      });
    });
  }

  void written(std::uint64_t number, std::size_t bytes, bool failed) {
    const std::lock_guard lock(mutex_);
    const auto found = streams_.find(number);
    if (found == streams_.end()) return;
    found->second.waiting_bytes -= bytes;
    if (failed) streams_.erase(found);
  }

  void broadcast(const std::string& text) {
    const std::lock_guard lock(mutex_);
    for (auto at = streams_.begin(); at != streams_.end();) {
      if (at->second.waiting_bytes > stream_bytes_max) {
        at->second.output.done();
        at = streams_.erase(at);
        continue;
      }
      write(at->first, at->second, text);
      ++at;
    }
  }

  void listen_to_decisions() {
    const std::weak_ptr<HttpState> weak = weak_from_this();
    context_.environment().read_model->on_decision([weak](const Json& decision) {
      const std::shared_ptr<HttpState> state = weak.lock();
      if (!state) return;
      {
        const std::lock_guard lock(state->mutex_);
        if (state->streams_.empty()) return;
      }
      // Not by shared_ptr: what waits in io_ must not keep io_ itself alive.
      HttpState* here = state.get();
      asio::post(here->telling_, [here, text = event_text(decision)] { here->broadcast(text); });
    });
  }

  void keep_streams() {
    broadcast(": alive\n\n");
    auto timer = std::make_shared<asio::steady_timer>(io_, stream_interval);
    timer->async_wait([this, timer](const asio::error_code& failure) {
      if (!failure) keep_streams();
    });
  }

  void watch_bus() {
    std::unique_lock lock(bus_mutex_);
    while (!stopping_) {
      lock.unlock();
      const Result<void> there = context_.environment().log->ping(bus_wait_ms);
      lock.lock();
      bus_trouble_ = there ? std::string() : there.error().context;
      bus_wake_.wait_for(lock, bus_interval, [this] { return stopping_; });
    }
  }

  ApiContext context_;
  // Before everything that lives on it.
  DrainableContext io_;
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  // Decisions go over it one after another: several threads serve io_, and would overtake.
  asio::strand<asio::io_context::executor_type> telling_{io_.get_executor()};
  std::unique_ptr<HttpEngine> engine_;
  std::uint16_t port_ = 0;
  std::vector<std::thread> threads_;

  std::mutex mutex_;
  std::uint64_t last_number_ = 0;
  std::map<std::uint64_t, RequestHandle> pending_;
  std::map<std::uint64_t, Stream> streams_;

  std::mutex bus_mutex_;
  std::condition_variable bus_wake_;
  std::string bus_trouble_;
  bool stopping_ = false;
};

class HttpServer::Core {
 public:
  explicit Core(HttpOptions options) : options_(std::move(options)) {}
  ~Core() { stop(); }

  Result<std::string> start() {
    Result<ApiContext> context = make_api_context(options_);
    if (!context) return context.error();
    state_ = std::make_shared<HttpState>(std::move(*context));
    Result<std::string> address = state_->start();
    if (!address) state_.reset();
    return address;
  }

  void stop() {
    if (state_) state_->stop();
    state_.reset();
  }

 private:
  HttpOptions options_;
  std::shared_ptr<HttpState> state_;
};

HttpServer::HttpServer(HttpOptions options) : core_(std::make_unique<Core>(std::move(options))) {}
HttpServer::~HttpServer() = default;

Result<std::string> HttpServer::start() {
  return core_->start();
}

void HttpServer::stop() {
  core_->stop();
}

}  // namespace selfheal
