// stdout for several threads (src/cli/output.h), signals as data (src/cli/signal_watch.h), and how commands end.
#include "src/cli/output.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "src/base/unique_fd.h"
#include "src/cli/exit_status.h"
#include "src/cli/signal_watch.h"

namespace knp::cli {
namespace {

struct Pipe {
  UniqueFd read_end, write_end;
};

Pipe MakePipe(int flags = 0) {
  int fds[2] = {-1, -1};
  EXPECT_EQ(pipe2(fds, O_CLOEXEC | flags), 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

std::string ReadToEnd(int fd) {
  std::string text;
  char piece[65536];
  for (ssize_t count; (count = read(fd, piece, sizeof piece)) > 0;) text.append(piece, static_cast<std::size_t>(count));
  return text;
}

void AddLine(Output& output, char letter, std::size_t length) {
  output.Add([&](std::string& buffer) { buffer.append(length, letter) += '\n'; });
}

// A pipe whose reader is gone raises SIGPIPE, which `knp` ignores.
class OutputTest : public testing::Test {
 protected:
  void SetUp() override { before_ = std::signal(SIGPIPE, SIG_IGN); }
  void TearDown() override { std::signal(SIGPIPE, before_); }

 private:
  void (*before_)(int) = SIG_DFL;
};

TEST_F(OutputTest, FewLines_WaitForTheFlush) {
  Pipe pipe = MakePipe(O_NONBLOCK);
  Output output(pipe.write_end.get());
  AddLine(output, 'a', 3);
  EXPECT_EQ(ReadToEnd(pipe.read_end.get()), "");
  output.Flush();
  EXPECT_EQ(ReadToEnd(pipe.read_end.get()), "aaa\n");
  EXPECT_TRUE(output.status().ok());
}

TEST_F(OutputTest, TwoThreadsAndASlowReader_LinesStayWhole) {
  Pipe pipe = MakePipe();
  fcntl(pipe.write_end.get(), F_SETFL, O_NONBLOCK);  // as if somebody had made a shared stdout so
  Output output(pipe.write_end.get());
  std::string text;
  std::thread reader([&] { text = ReadToEnd(pipe.read_end.get()); });
  const auto write_lines = [&output](char letter) {
    for (int i = 0; i < 5000; ++i) AddLine(output, letter, 100);
  };
  std::thread first(write_lines, 'a'), second(write_lines, 'b');
  first.join();
  second.join();
  output.Flush();
  pipe.write_end.Reset();
  reader.join();
  ASSERT_EQ(text.size(), 2u * 5000 * 101);
  for (std::size_t at = 0; at < text.size(); at += 101)
    ASSERT_EQ(text.substr(at, 101), std::string(100, text[at]) + "\n") << at;
}

TEST_F(OutputTest, ReaderGone_IsCancelledAndWritesNoMore) {
  Pipe pipe = MakePipe();
  Output output(pipe.write_end.get());
  EXPECT_FALSE(output.ReaderGone());
  pipe.read_end.Reset();
  EXPECT_TRUE(output.ReaderGone()) << "seen without a write";
  AddLine(output, 'a', 3);
  output.Flush();
  EXPECT_TRUE(absl::IsCancelled(output.status()));
  bool called = false;
  output.Add([&](std::string&) { called = true; });
  EXPECT_FALSE(called);
}

TEST_F(OutputTest, FullDisk_IsAnErrorWithAdvice) {
  UniqueFd full(open("/dev/full", O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(full.valid());
  Output output(full.get());
  EXPECT_FALSE(output.ReaderGone());
  AddLine(output, 'a', 3);
  output.Flush();
  EXPECT_TRUE(absl::IsDataLoss(output.status()));
  EXPECT_NE(std::string(output.status().message()).find("free some space"), std::string::npos);
}

TEST(ExitStatus, Codes_AreTheContracts) {
  EXPECT_EQ(ExitStatusOf(absl::OkStatus()), 0);
  EXPECT_EQ(ExitStatusOf(absl::InternalError("")), 1);
  EXPECT_EQ(ExitStatusOf(absl::NotFoundError("")), 1);
  EXPECT_EQ(ExitStatusOf(absl::PermissionDeniedError("")), 3);
  EXPECT_EQ(ExitStatusOf(absl::UnimplementedError("")), 4);
}

// Runs `body` in a child, for signals are the whole process's; returns its exit status, -1 if a signal killed it.
template <typename Body>
int InChild(Body body) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    _exit(body());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool WaitReadable(int fd) {
  pollfd ready{fd, POLLIN, 0};
  return poll(&ready, 1, 10'000) == 1;
}

TEST(SignalWatch, FirstSigint_AsksToStop) {
  EXPECT_EQ(InChild([] {
              auto watch = SignalWatch::Start([] { _exit(99); });
              if (!watch.ok() || (*watch)->stop_requested()) return 1;
              kill(getpid(), SIGINT);
              if (!WaitReadable((*watch)->fd())) return 2;
              return (*watch)->stop_requested() ? 0 : 3;
            }),
            0);
}

TEST(SignalWatch, SameSignalTwiceAtOnce_IsOneKeystroke) {
  EXPECT_EQ(InChild([] {
              auto watch = SignalWatch::Start([] { _exit(99); });
              kill(getpid(), SIGINT);  // as timeout(1) does: to the process, and to its group
              WaitReadable((*watch)->fd());
              kill(getpid(), SIGINT);
              usleep(50'000);
              return 0;
            }),
            0);
}

TEST(SignalWatch, SecondSignalLater_ExitsAtOnce) {
  EXPECT_EQ(InChild([] {
              auto watch = SignalWatch::Start([] { _exit(99); });
              kill(getpid(), SIGTERM);
              WaitReadable((*watch)->fd());
              usleep(400'000);
              kill(getpid(), SIGINT);
              usleep(5'000'000);
              return 0;
            }),
            99);
}

TEST(SignalWatch, ResizeAndWake_AreReportedOnce) {
  EXPECT_EQ(InChild([] {
              auto watch = SignalWatch::Start([] { _exit(99); });
              kill(getpid(), SIGWINCH);
              if (!WaitReadable((*watch)->fd())) return 1;
              (*watch)->Drain();
              if (!(*watch)->TakeResize() || (*watch)->TakeResize() || (*watch)->stop_requested()) return 2;
              (*watch)->Wake();
              if (!WaitReadable((*watch)->fd())) return 3;
              (*watch)->Drain();
              pollfd ready{(*watch)->fd(), POLLIN, 0};
              return poll(&ready, 1, 0) == 0 ? 0 : 4;
            }),
            0);
}

TEST(SignalWatch, SighupUnderNohup_IsIgnored) {
  EXPECT_EQ(InChild([] {
              std::signal(SIGHUP, SIG_IGN);
              auto watch = SignalWatch::Start([] { _exit(99); });
              kill(getpid(), SIGHUP);
              usleep(50'000);
              return (*watch)->stop_requested() ? 1 : 0;
            }),
            0);
}

TEST(StandardStreams, ClosedOnes_AreNotTakenByOtherFiles) {
  EXPECT_EQ(InChild([] {
              close(STDOUT_FILENO);
              HoldStandardStreams();
              UniqueFd other(open("/dev/zero", O_RDWR | O_CLOEXEC));
              if (other.get() <= STDERR_FILENO) return 1;
              return write(STDOUT_FILENO, "x", 1) < 0 && errno == EBADF ? 0 : 2;
            }),
            0);
}

}  // namespace
}  // namespace knp::cli
