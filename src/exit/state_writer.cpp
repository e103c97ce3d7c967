// SPDX-License-Identifier: MIT
#include "exit/state_writer.hpp"

#include <condition_variable>
#include <deque>
#include <mutex>

#include <boost/asio/post.hpp>

#include "base/background_thread.hpp"

namespace zks::exit {

struct StateWriter::Shared {
  explicit Shared(boost::asio::any_io_executor its_executor) : executor(std::move(its_executor)) {}

  boost::asio::any_io_executor executor;
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<Job> jobs;
  std::function<void()> done;  // of the job that runs: it belongs to the executor's thread
  bool over = false;
};

StateWriter::StateWriter(boost::asio::any_io_executor executor)
    : shared_(std::make_shared<Shared>(std::move(executor))) {
  run_in_background([shared = shared_] { serve(shared); });
}

StateWriter::~StateWriter() {
  std::deque<Job> jobs;
  std::function<void()> done;
  const std::lock_guard lock(shared_->mutex);
  shared_->over = true;
  jobs.swap(shared_->jobs);  // here and not there
  done.swap(shared_->done);
  shared_->executor = {};  // the thread may outlive what is behind it
  shared_->wake.notify_one();
}

bool StateWriter::add(Job job) {
  const std::lock_guard lock(shared_->mutex);
  if (shared_->jobs.size() >= kMaxJobs) return false;
  shared_->jobs.push_back(std::move(job));
  shared_->wake.notify_one();
  return true;
}

void StateWriter::serve(const std::shared_ptr<Shared>& shared) {
  std::unique_lock lock(shared->mutex);
  while (!shared->over) {
    if (shared->jobs.empty()) {
      shared->wake.wait(lock);
      continue;
    }
    auto work = std::move(shared->jobs.front().work);
    shared->done = std::move(shared->jobs.front().done);
    shared->jobs.pop_front();
    lock.unlock();
    work();
    work = nullptr;
    lock.lock();
    if (shared->done) boost::asio::post(shared->executor, std::exchange(shared->done, nullptr));
  }
}

}  // namespace zks::exit
