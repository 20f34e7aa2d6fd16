//! What the tests are made of: a Redis server, a daemon, a receiver of callbacks, messages of BigBlueButton, patience.

mod daemon;
mod following;
mod lab;
mod messages;
mod ports;
mod receiver;
mod redis;
mod tls;
mod wait;
mod xml;

pub(crate) use self::daemon::DOMAIN;
pub(crate) use self::daemon::Daemon;
pub(crate) use self::daemon::Ended;
pub(crate) use self::daemon::SECRET;
pub(crate) use self::daemon::Setup;
pub(crate) use self::daemon::api_checksum;
pub(crate) use self::lab::Lab;
pub(crate) use self::messages::Meeting;
pub(crate) use self::ports::free_port;
pub(crate) use self::receiver::Algorithm;
pub(crate) use self::receiver::Gate;
pub(crate) use self::receiver::Receiver;
pub(crate) use self::receiver::Reply;
pub(crate) use self::receiver::Request;
pub(crate) use self::redis::Redis;
pub(crate) use self::tls::Authority;
pub(crate) use self::wait::PATIENCE;
pub(crate) use self::wait::eventually;
pub(crate) use self::wait::holds_for;
pub(crate) use self::wait::until;
pub(crate) use self::xml::Element;
