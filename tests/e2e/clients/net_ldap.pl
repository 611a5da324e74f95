# An application that uses Net::LDAP.
use strict;
use warnings;
use utf8;

use Net::LDAP;
use Net::LDAP::Constant qw(LDAP_CONTROL_PAGED);
use Net::LDAP::Control::Paged;
use Net::LDAP::Extension::SetPassword;
use Net::LDAP::Extension::WhoAmI;

binmode STDOUT, ':encoding(UTF-8)';
my ($base, $dn, $other_dn) = @ENV{qw(LAB_BASE LAB_DN LAB_OTHER_DN)};

sub connect_to_server {
    my @tls = (verify => 'require', cafile => $ENV{LAB_CA});
    my $ldap = Net::LDAP->new($ENV{LAB_URI}, @tls) or die "cannot connect: $@\n";
    if ($ENV{LAB_START_TLS} eq 'yes') {
        my $answer = $ldap->start_tls(@tls);
        die 'StartTLS: ' . $answer->error . "\n" if $answer->code;
    }
    return $ldap;
}

# Writes how the server answered.
sub answered {
    my ($what, $answer) = @_;
    my $message = $answer->code ? $answer->server_error // '' : '';
    print "$what ", $answer->code, ($message ne '' ? " $message" : ''), "\n";
    return $answer;
}

sub login {
    my ($password) = @_;
    utf8::encode($password) if utf8::is_utf8($password);
    my $ldap = connect_to_server();
    answered('login', $ldap->bind($dn, password => $password));
    return $ldap;
}

sub search_in_pages {
    my ($ldap) = @_;
    my $page = Net::LDAP::Control::Paged->new(size => 50);
    my ($pages, $entries) = (0, 0);
    while (1) {
        my $found = $ldap->search(
            base => $base, scope => 'sub', filter => '(uid=*)', attrs => ['cn', 'mail'], control => [$page],
        );
        die 'search: ' . $found->error . "\n" if $found->code;
        $pages++;
        for my $entry ($found->entries) {
            $entries++;
            print join(' ', $entry->dn, $entry->get_value('cn'), $entry->get_value('mail')), "\n";
        }
        my ($answer) = $found->control(LDAP_CONTROL_PAGED) or die "no answer to the paged results control\n";
        my $cookie = $answer->cookie;
        last unless defined $cookie && length $cookie;
        $page->cookie($cookie);
    }
    print "pages $pages entries $entries\n";
    return;
}

sub change {
    my ($ldap) = @_;
    my $number = '+1 555 0103';
    answered('change', $ldap->modify($dn, replace => { telephoneNumber => $number }));
    my $found = $ldap->search(base => $dn, scope => 'base', filter => '(objectClass=*)', attrs => ['telephoneNumber']);
    print 'read ', $found->entry(0)->get_value('telephoneNumber'), "\n";
    answered('compare', $ldap->compare($dn, attr => 'telephoneNumber', value => $number));
    answered('change back', $ldap->modify($dn, delete => ['telephoneNumber']));
    answered('change other', $ldap->modify($other_dn, replace => { telephoneNumber => $number }));
    answered('missing', $ldap->search(base => "ou=nowhere,$base", scope => 'base', filter => '(objectClass=*)'));
    return;
}

sub change_password {
    my ($ldap, $old, $new) = @_;
    utf8::encode($new);
    my @who = (user => $dn);
    answered('change password wrongly', $ldap->set_password(@who, oldpasswd => "not $old", newpasswd => $new));
    answered('change password', $ldap->set_password(@who, oldpasswd => $old, newpasswd => $new));
    login($old)->unbind;
    login($new)->unbind;
    answered('change password back', $ldap->set_password(@who, oldpasswd => $new, newpasswd => $old));
    login($old)->unbind;
    return;
}

my $password = $ENV{LAB_PASSWORD};
my $ldap = login($password);
if ($ARGV[0] eq 'tour') {
    print 'whoami ', $ldap->who_am_i->response, "\n";
    login("not $password")->unbind;
    search_in_pages($ldap);
    change($ldap);
    change_password($ldap, $password, "$password 2, schön");
}
$ldap->unbind;
