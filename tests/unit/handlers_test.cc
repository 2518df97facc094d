// Handlers: everything posted is told once, in the order of posting, one at a time, whatever threads post, deliver and
// replace handlers, and whatever a handler itself calls.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <latch>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "src/monitor/outbox.h"

namespace knp::monitor {
namespace {

using EventHandler = NetworkMonitor::EventHandler;
using AlertHandler = NetworkMonitor::AlertHandler;
using FlowHandler = NetworkMonitor::FlowHandler;
using UserEventHandler = NetworkMonitor::UserEventHandler;

Event MakeEvent(std::uint64_t flow_id) {
  Event event;
  event.flow_id = flow_id;
  return event;
}

bool PostEvent(Handlers* handlers, std::uint64_t flow_id) {
  Outbox outbox;
  outbox.emplace_back(MakeEvent(flow_id));
  return handlers->Post(&outbox);
}

TEST(Handlers, EveryKind_ReachesItsHandlerInOrder) {
  Handlers handlers;
  std::vector<std::string> told;
  handlers.Set(EventHandler([&](const Event& event) { told.push_back("event " + std::to_string(event.flow_id)); }));
  handlers.Set(AlertHandler([&](const Alert& alert) { told.push_back("alert " + alert.id); }));
  handlers.Set(FlowHandler([&](const FlowRecord& flow) { told.push_back("flow " + std::to_string(flow.id)); }));
  handlers.Set(0x8000, UserEventHandler([&](std::span<const std::byte> payload) {
                 told.push_back("user " + std::to_string(payload.size()));
               }));
  handlers.Set(0x8001, UserEventHandler([&](std::span<const std::byte>) { told.push_back("other user event"); }));
  Outbox outbox;
  Alert alert;
  alert.id = "a";
  FlowRecord flow;
  flow.id = 5;
  outbox.emplace_back(flow);
  outbox.emplace_back(MakeEvent(1));
  outbox.emplace_back(alert);
  outbox.emplace_back(UserEvent{0x8000, std::vector<std::byte>(3)});
  outbox.emplace_back(UserEvent{0x9000, {}});  // nobody's
  outbox.emplace_back(MakeEvent(2));
  EXPECT_TRUE(handlers.Post(&outbox));
  EXPECT_TRUE(outbox.empty());
  EXPECT_TRUE(told.empty()) << "not before Deliver";
  handlers.Deliver();
  EXPECT_EQ(told, (std::vector<std::string>{"flow 5", "event 1", "alert a", "user 3", "event 2"}));
  handlers.Deliver();
  EXPECT_EQ(told.size(), 5u) << "once";
}

TEST(Handlers, NothingPosted_NothingIsDue) {
  Handlers handlers;
  Outbox outbox;
  EXPECT_FALSE(handlers.Post(&outbox));
}

TEST(Handlers, NoHandler_MessagesGo) {
  Handlers handlers;
  PostEvent(&handlers, 1);
  handlers.Deliver();
  int calls = 0;
  handlers.Set(EventHandler([&](const Event&) { calls++; }));
  handlers.Deliver();
  EXPECT_EQ(calls, 0) << "what was told before the handler was set is not told to it";
}

TEST(Handlers, Wants_FollowsTheHandlers) {
  Handlers handlers;
  EXPECT_FALSE(handlers.wants_events());
  EXPECT_FALSE(handlers.wants_flows());
  handlers.Set(EventHandler([](const Event&) {}));
  handlers.Set(FlowHandler([](const FlowRecord&) {}));
  EXPECT_TRUE(handlers.wants_events());
  EXPECT_TRUE(handlers.wants_flows());
  handlers.Set(EventHandler(nullptr));
  handlers.Set(FlowHandler(nullptr));
  EXPECT_FALSE(handlers.wants_events());
  EXPECT_FALSE(handlers.wants_flows());
}

TEST(Handlers, HandlerReplacesItself_ItsOwnStateLivesOn) {
  Handlers handlers;
  std::vector<std::string> told;
  auto captured = std::make_shared<std::string>("first");
  handlers.Set(EventHandler([&, captured](const Event&) {
    handlers.Set(EventHandler([&](const Event&) { told.push_back("second"); }));
    told.push_back(*captured);
  }));
  const std::weak_ptr<std::string> alive = captured;
  captured.reset();
  PostEvent(&handlers, 1);
  PostEvent(&handlers, 2);
  handlers.Deliver();
  EXPECT_EQ(told, (std::vector<std::string>{"first", "second"}));
  EXPECT_TRUE(alive.expired()) << "and no longer than that";
}

TEST(Handlers, HandlerRemovesItselfAndOthers_TheyAreSilent) {
  Handlers handlers;
  int calls = 0;
  handlers.Set(0x8000, UserEventHandler([&](std::span<const std::byte>) { calls += 100; }));
  handlers.Set(EventHandler([&](const Event&) {
    calls++;
    handlers.Set(EventHandler(nullptr));
    handlers.Set(0x8000, UserEventHandler(nullptr));
    handlers.Set(0x8001, UserEventHandler([](std::span<const std::byte>) {}));  // the map changes under the call
  }));
  PostEvent(&handlers, 1);
  Outbox outbox;
  outbox.emplace_back(UserEvent{0x8000, {}});
  outbox.emplace_back(MakeEvent(2));
  handlers.Post(&outbox);
  handlers.Deliver();
  EXPECT_EQ(calls, 1);
}

TEST(Handlers, HandlerCausesMessages_TheyComeAfterItAndNotWithinIt) {
  Handlers handlers;
  std::vector<std::string> told;
  handlers.Set(EventHandler([&](const Event& event) {
    told.push_back("begin " + std::to_string(event.flow_id));
    EXPECT_TRUE(handlers.InHandler());
    if (event.flow_id == 1) {  // as by a call of the monitor's that has something to tell
      PostEvent(&handlers, 3);
      handlers.Deliver();
    }
    told.push_back("end " + std::to_string(event.flow_id));
  }));
  PostEvent(&handlers, 1);
  PostEvent(&handlers, 2);
  EXPECT_FALSE(handlers.InHandler());
  handlers.Deliver();
  EXPECT_FALSE(handlers.InHandler());
  EXPECT_EQ(told, (std::vector<std::string>{"begin 1", "end 1", "begin 2", "end 2", "begin 3", "end 3"}));
}

TEST(Handlers, InHandler_IsOfTheCallingThread) {
  Handlers handlers;
  bool elsewhere = true;
  handlers.Set(EventHandler([&](const Event&) { std::thread([&] { elsewhere = handlers.InHandler(); }).join(); }));
  PostEvent(&handlers, 1);
  handlers.Deliver();
  EXPECT_FALSE(elsewhere);
}

TEST(Handlers, SetReturns_TheOldHandlerIsNotRunning) {
  for (int i = 0; i < 200; i++) {
    Handlers handlers;
    std::latch entered(1), about_to_set(1);
    std::atomic<bool> running = false;
    handlers.Set(EventHandler([&](const Event&) {
      running = true;
      entered.count_down();
      about_to_set.wait();
      for (int spin = 0; spin < 100; spin++) std::this_thread::yield();
      running = false;
    }));
    PostEvent(&handlers, 1);
    std::thread teller([&] { handlers.Deliver(); });
    entered.wait();
    about_to_set.count_down();
    handlers.Set(EventHandler(nullptr));
    EXPECT_FALSE(running);
    teller.join();
  }
}

TEST(Handlers, PostedWhileAnotherThreadDelivers_ToldWhenDeliverReturns) {
  Handlers handlers;
  std::latch entered(1), posted(1);
  std::atomic<int> calls = 0;
  handlers.Set(EventHandler([&](const Event& event) {
    if (event.flow_id == 1) {
      entered.count_down();
      posted.wait();
    }
    calls++;
  }));
  PostEvent(&handlers, 1);
  std::thread teller([&] { handlers.Deliver(); });
  entered.wait();
  PostEvent(&handlers, 2);
  posted.count_down();
  handlers.Deliver();
  EXPECT_EQ(calls, 2) << "whoever told it";
  teller.join();
}

// Posted under one lock and delivered after it, as the monitor does, by four threads, while two replace the handlers.
TEST(Handlers, ManyThreads_NothingLostInOrderOneAtATime) {
  constexpr int kPosters = 4, kMessages = 2000;
  Handlers handlers;
  std::mutex state;
  std::uint64_t next = 0;
  std::atomic<int> inside = 0;
  std::uint64_t told = 0;  // guarded by the calls being one at a time
  const EventHandler handler = [&](const Event& event) {
    EXPECT_EQ(inside.fetch_add(1), 0);
    EXPECT_EQ(event.flow_id, told);
    told++;
    inside--;
  };
  handlers.Set(handler);
  std::atomic<bool> done = false;
  std::vector<std::thread> threads;
  threads.reserve(2);
  for (int i = 0; i < 2; i++)
    threads.emplace_back([&, i] {
      for (int round = 0; !done; round++) {
        handlers.Set(handler);
        handlers.Set(static_cast<std::uint16_t>(0x8000 + i + round % 8),
                     round % 2 ? UserEventHandler([](std::span<const std::byte>) {}) : nullptr);
        std::this_thread::yield();
      }
    });
  std::vector<std::thread> posters;
  posters.reserve(kPosters);
  for (int i = 0; i < kPosters; i++)
    posters.emplace_back([&] {
      for (int n = 0; n < kMessages; n++) {
        {
          const std::lock_guard lock(state);
          Outbox outbox;
          outbox.emplace_back(MakeEvent(next++));
          outbox.emplace_back(UserEvent{0x8000, {}});
          handlers.Post(&outbox);
        }
        handlers.Deliver();
      }
    });
  for (std::thread& thread : posters) thread.join();
  done = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(told, std::uint64_t{kPosters} * kMessages);
}

}  // namespace
}  // namespace knp::monitor
