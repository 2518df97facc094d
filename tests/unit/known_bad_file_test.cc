// The list of known bad addresses as a file: read, read again when it changes, kept when it is gone.
#include "src/monitor/known_bad_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

namespace knp::monitor {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class KnownBadFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = (std::filesystem::temp_directory_path() / ("knp_known_bad_" + std::to_string(::getpid()) + "_" +
                                                       ::testing::UnitTest::GetInstance()->current_test_info()->name()))
                .string();
  }
  void TearDown() override { std::filesystem::remove(path_); }
  void Write(const std::string& text) { std::ofstream(path_, std::ios::trunc) << text; }
  // The background reader takes its time.
  KnownBadFile::News Await(KnownBadFile* file) {
    for (int i = 0; i < 5000; i++) {
      if (auto news = file->Check()) return *std::move(news);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    ADD_FAILURE() << "nothing came";
    return {};
  }
  std::string path_;
};

TEST_F(KnownBadFileTest, Open_ReadsAndTells) {
  Write("192.0.2.1 one\nbroken line\n");
  KnownBadFile file(path_);
  KnownBadFile::News news;
  ASSERT_TRUE(file.Open(&news).ok());
  ASSERT_TRUE(news.list);
  EXPECT_EQ(news.list->size(), 1u);
  EXPECT_THAT(news.remarks, ElementsAre(HasSubstr(path_ + ":2: 'broken'"), HasSubstr("1 known bad addresses")));
  EXPECT_FALSE(file.Check());
}

TEST_F(KnownBadFileTest, NoSuchFileOrNoFile_ErrorNamesItAndTheSetting) {
  KnownBadFile::News news;
  KnownBadFile missing(path_);
  EXPECT_THAT(missing.Open(&news).message(), HasSubstr(path_ + ": No such file"));
  KnownBadFile folder("/tmp");
  EXPECT_THAT(folder.Open(&news).message(), HasSubstr("no regular file"));
  EXPECT_THAT(folder.Open(&news).message(), HasSubstr("detectors.anomaly.known_bad_file"));
}

TEST_F(KnownBadFileTest, Changed_ReadAgain) {
  Write("192.0.2.1\n");
  KnownBadFile file(path_);
  KnownBadFile::News news;
  ASSERT_TRUE(file.Open(&news).ok());
  Write("192.0.2.1\n192.0.2.2\n");
  news = Await(&file);
  ASSERT_TRUE(news.list);
  EXPECT_EQ(news.list->size(), 2u);
  EXPECT_FALSE(file.Check());
}

TEST_F(KnownBadFileTest, Replaced_ReadAgain) {
  Write("192.0.2.1\n");
  KnownBadFile file(path_);
  KnownBadFile::News news;
  ASSERT_TRUE(file.Open(&news).ok());
  const std::string fresh = path_ + ".new";
  std::ofstream(fresh) << "192.0.2.2\n";
  std::filesystem::last_write_time(fresh, std::filesystem::last_write_time(path_));
  std::filesystem::rename(fresh, path_);
  news = Await(&file);
  AddressList::Match match;
  ASSERT_TRUE(news.list);
  EXPECT_TRUE(news.list->Find(*ParseIpAddress("192.0.2.2"), &match));
}

TEST_F(KnownBadFileTest, Gone_ToldOnceAndReadWhenItIsBack) {
  Write("192.0.2.1\n");
  KnownBadFile file(path_);
  KnownBadFile::News news;
  ASSERT_TRUE(file.Open(&news).ok());
  std::filesystem::remove(path_);
  news = Await(&file);
  EXPECT_FALSE(news.list);
  EXPECT_THAT(news.remarks, ElementsAre(HasSubstr("what was read before stays in force")));
  EXPECT_FALSE(file.Check());
  Write("192.0.2.3\n192.0.2.4\n");
  news = Await(&file);
  ASSERT_TRUE(news.list);
  EXPECT_EQ(news.list->size(), 2u);
}

}  // namespace
}  // namespace knp::monitor
