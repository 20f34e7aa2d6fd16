//! What the tests are made of: a Redis server, a daemon, a receiver of callbacks, messages of BigBlueButton, patience.

mod daemon;
mod lab;
mod lrs;
mod messages;
mod ports;
mod receiver;
mod redis;
mod statement;
mod wait;
mod xml;

pub(crate) use self::daemon::DOMAIN;
pub(crate) use self::daemon::Daemon;
pub(crate) use self::daemon::SECRET;
pub(crate) use self::daemon::Setup;
pub(crate) use self::daemon::api_checksum;
pub(crate) use self::lab::Lab;
pub(crate) use self::lrs::NAMESPACE;
pub(crate) use self::lrs::STATEMENTS;
pub(crate) use self::lrs::Tls;
pub(crate) use self::lrs::encrypt;
pub(crate) use self::lrs::statements;
pub(crate) use self::lrs::with_lrs;
pub(crate) use self::messages::Meeting;
pub(crate) use self::ports::free_port;
pub(crate) use self::receiver::Algorithm;
pub(crate) use self::receiver::Gate;
pub(crate) use self::receiver::Receiver;
pub(crate) use self::receiver::Reply;
pub(crate) use self::receiver::Request;
pub(crate) use self::redis::Redis;
pub(crate) use self::statement::check as check_statement;
pub(crate) use self::wait::PATIENCE;
pub(crate) use self::wait::eventually;
pub(crate) use self::wait::holds_for;
pub(crate) use self::wait::until;
pub(crate) use self::xml::Element;
